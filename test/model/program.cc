// SPDX-License-Identifier: BSD-2-Clause
// How programs are printed. See program.h.
#include "model/program.h"

#include <sys/event.h>

#include <cstdio>

namespace kqmodel {
namespace {

#ifdef EVFILT_EMPTY
static_assert(kEmpty == EVFILT_EMPTY);
#endif
#ifdef EVFILT_EXCEPT
static_assert(kExcept == EVFILT_EXCEPT && kOob == NOTE_OOB);
#endif

struct Name {
    unsigned bit;
    const char* text;
};

constexpr Name kFlags[] = {
    {EV_ADD, "ADD"},
    {EV_DELETE, "DELETE"},
    {EV_ENABLE, "ENABLE"},
    {EV_DISABLE, "DISABLE"},
    {EV_ONESHOT, "ONESHOT"},
    {EV_CLEAR, "CLEAR"},
    {EV_RECEIPT, "RECEIPT"},
    {EV_DISPATCH, "DISPATCH"},
    {EV_ERROR, "ERROR"},
    {EV_EOF, "EOF"},
    {EV_UDATA_SPECIFIC, "UDATA_SPECIFIC"},
};

std::string flags_of(unsigned flags) {
    std::string text;
    for (const Name& name : kFlags) {
        if ((flags & name.bit) == 0) continue;
        text += (text.empty() ? "" : "|") + std::string(name.text);
        flags &= ~name.bit;
    }
    if (flags != 0 || text.empty()) text += (text.empty() ? "" : "|") + std::to_string(flags);
    return text;
}

std::string ident_of(const Entry& entry) {
    if (!is_descriptor(entry.filter)) return std::to_string(entry.ident);
    if (entry.ident < kSlots) return "fd" + std::to_string(entry.ident);
    if (entry.ident < kNeverOpen) return "kq" + std::to_string(entry.ident - kQueueIdent);
    return "-1";
}

std::string filter_of(int filter) {
    switch (filter) {
        case EVFILT_READ:
            return "READ";
        case EVFILT_WRITE:
            return "WRITE";
        case EVFILT_TIMER:
            return "TIMER";
        case EVFILT_USER:
            return "USER";
        case kExcept:
            return "EXCEPT";
        case kEmpty:
            return "EMPTY";
        default:
            return std::to_string(filter);
    }
}

const char* wait_of(Wait wait) {
    constexpr const char* kTexts[] = {"{0,0}", "brief", "until an event", "{0,1000000000}",
                                      "nevents -1"};
    return kTexts[static_cast<size_t>(wait)];
}

const char* kind_of(Kind kind) {
    constexpr const char* kTexts[] = {"socketpair", "pipe", "tcp"};
    return kTexts[static_cast<size_t>(kind)];
}

std::string slot(const char* what, int a, const std::string& rest = "") {
    return std::string(what) + "(fd" + std::to_string(a) + rest + ")";
}

}  // namespace

bool is_descriptor(int filter) {
    return filter == EVFILT_READ || filter == EVFILT_WRITE || filter == kExcept || filter == kEmpty;
}

std::string to_string(const Entry& entry) {
    char rest[80];
    (void)snprintf(rest, sizeof rest, ", %#x, %lld, %lu}", entry.fflags,
                   static_cast<long long>(entry.data), static_cast<unsigned long>(entry.tag));
    return "{" + ident_of(entry) + ", " + filter_of(entry.filter) + ", " + flags_of(entry.flags) +
           rest;
}

std::string to_string(const std::vector<Entry>& entries) {
    std::string text;
    for (const Entry& entry : entries)
        text += (text.empty() ? "" : " ") + to_string(entry);
    return text.empty() ? "nothing" : text;
}

std::string to_string(const Step& step) {
    using What = Step::What;
    const std::string count = ", " + std::to_string(step.count);
    switch (step.what) {
        case What::call:
            break;
        case What::open:
            return slot(kind_of(step.kind), step.a, ", fd" + std::to_string(step.b));
        case What::close:
            return slot("close", step.a);
        case What::dup:
            return slot("dup2", step.a, ", fd" + std::to_string(step.b));
        case What::write:
            return slot("write", step.a, count);
        case What::read:
            return slot("read", step.a, count);
        case What::drain:
            return slot("drain", step.a);
        case What::fill:
            return slot("fill", step.a);
        case What::shut:
            return slot("shutdown", step.a, ", SHUT_WR");
        case What::urge:
            return slot("send", step.a, ", MSG_OOB");
        case What::take:
            return slot("recv", step.a, ", MSG_OOB");
        case What::advance:
            return "time passes: " + std::to_string(step.count) + " ns";
        case What::renew:
            return "kq" + std::to_string(step.queue) + " is closed and made anew";
    }
    return "kevent(kq" + std::to_string(step.queue) + ", [" +
           (step.changes.empty() ? "" : to_string(step.changes)) + "], nevents " +
           std::to_string(step.room) + (step.alias ? " in the same array, " : ", ") +
           wait_of(step.wait) + ")" + (step.fault ? ", and the system refuses" : "");
}

std::string to_string(const Program& program) {
    std::string text;
    for (size_t i = 0; i < program.size(); i++)
        text += std::to_string(i) + ": " + to_string(program[i]) + "\n";
    return text;
}

}  // namespace kqmodel
