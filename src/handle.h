// SPDX-License-Identifier: BSD-2-Clause
// Handle: the 64 bits a kernel queue hands back with an event.
//
// A handle is never a pointer. It has a kind, an index and a generation. So a report that comes
// after the removal of what it names is recognised and dropped.
#ifndef KQ_HANDLE_H
#define KQ_HANDLE_H

#include <stdint.h>

namespace kq {

class Handle {
  public:
    enum class Kind : uint8_t {
        none = 0,      // never given out; it may come from a queue that is not ours
        descriptor,    // index: descriptor number, generation: that of its FdWatch
        announcement,  // a ring or a hold; Backend::announce() says what the index means
        timers,        // index: the Clock whose deadline has come
        files,         // the backend has changes of files: see Backend::take_files
        signals,       // no handler gets some pending signals: signals::look_at_pending()
        lane,          // backend-private: an inner queue has something
        process,       // index: process id, generation: that of its ProcKnote
        processes,     // processes::hear() has news
        states,        // states of descriptors have changed: Backend::take_states
        mounts,        // file systems came or went: Backend::take_mounts
    };

    Handle() = default;  // no handle at all; `Handle{}` is Kind::none
    constexpr explicit Handle(uint64_t bits) : bits_(bits) {}
    constexpr Handle(Kind kind, uint32_t index, uint32_t generation)
        : bits_(uint64_t{static_cast<uint8_t>(kind)} << 60 |
                uint64_t{generation & kGenerations} << 32 | index) {}

    [[nodiscard]] constexpr uint64_t bits() const { return bits_; }
    [[nodiscard]] constexpr Kind kind() const { return static_cast<Kind>(bits_ >> 60); }
    [[nodiscard]] constexpr uint32_t index() const { return static_cast<uint32_t>(bits_); }
    [[nodiscard]] constexpr uint32_t generation() const {
        return static_cast<uint32_t>(bits_ >> 32) & kGenerations;
    }

    // Whether the handle was made with this generation.
    [[nodiscard]] constexpr bool is_of(uint32_t generation) const {
        return ((static_cast<uint32_t>(bits_ >> 32) ^ generation) & kGenerations) == 0;
    }

    static constexpr uint32_t kGenerations = (1u << 28) - 1;  // generations wrap here

  private:
    uint64_t bits_;
};

}  // namespace kq

#endif
