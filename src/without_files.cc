// SPDX-License-Identifier: BSD-2-Clause
// A platform that is not told of changes of files. The core looks at files when it has reason to,
// so EVFILT_READ works on them. EVFILT_VNODE is refused. See platform.h, "capabilities".
#include "fd_watch.h"
#include "missing_filter.h"

namespace kq {
namespace {

constexpr char kVnode[] = "EVFILT_VNODE";

}  // namespace

static_assert(!Backend::kHas.files);

constinit const FilterOps kVnodeFilter = missing_filter<kVnode>();

void KnoteQueue::take_files() {}
void KnoteQueue::take_rest_of_files() {}

namespace fd_watch {

Errno watch_file(KnoteQueue& /*kq*/, int /*fd*/, FdWatch& /*watch*/) {
    return Errno::unimplemented;
}
void unwatch_file(KnoteQueue& /*kq*/, int /*fd*/, FdWatch& /*watch*/) {}
void look_at_vnodes(KnoteQueue& /*kq*/, Handle /*handle*/, uint32_t /*changes*/) {}

}  // namespace fd_watch
}  // namespace kq
