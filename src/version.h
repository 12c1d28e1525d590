// The version, as NOTE_VERSION and NOTE_VERSION_STR give it. CMake defines the
// three numbers from project(VERSION).
#ifndef KQ_VERSION_H
#define KQ_VERSION_H

#include <stdint.h>

#ifndef KQ_VERSION_MAJOR
#define KQ_VERSION_MAJOR 3
#define KQ_VERSION_MINOR 0
#define KQ_VERSION_PATCH 0
#endif

#define KQ_VERSION_STRINGIFY(x) #x
#define KQ_VERSION_STRING(x) KQ_VERSION_STRINGIFY(x)

namespace kq {

// MMmmpprr: major, minor, patch, release, a byte each.
inline constexpr uint32_t kVersionNumber =
    uint32_t{KQ_VERSION_MAJOR} << 24 | uint32_t{KQ_VERSION_MINOR} << 16 |
    uint32_t{KQ_VERSION_PATCH} << 8;
inline constexpr char kVersionText[] = KQ_VERSION_STRING(KQ_VERSION_MAJOR) "." KQ_VERSION_STRING(
    KQ_VERSION_MINOR) "." KQ_VERSION_STRING(KQ_VERSION_PATCH);

}  // namespace kq

#endif
