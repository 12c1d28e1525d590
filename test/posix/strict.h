// SPDX-License-Identifier: BSD-2-Clause
// Included before everything else in two cases: the headers of the system must offer only POSIX, or
// libstdc++ was built for other headers. Then the configuration of libstdc++ claims more than these
// headers have.
#if __has_include(<features.h>)
    #include <features.h>
#endif
#ifndef __GLIBC_PREREQ
    #define __GLIBC_PREREQ(major, minor) 0
    #define __locale_t locale_t
    #define _ISupper 1
    #define _ISlower 2
    #define _ISalpha 4
    #define _ISdigit 8
    #define _ISxdigit 16
    #define _ISspace 32
    #define _ISprint 64
    #define _ISgraph (4 | 8 | 512)
    #define _ISblank 128
    #define _IScntrl 256
    #define _ISpunct 512
    #define _ISalnum (4 | 8)
#endif

#include <bits/c++config.h>

#undef _GLIBCXX_HAVE_LINUX_FUTEX
#undef _GLIBCXX_USE_PTHREAD_COND_CLOCKWAIT
#undef _GLIBCXX_USE_PTHREAD_MUTEX_CLOCKLOCK
#undef _GLIBCXX_USE_PTHREAD_RWLOCK_CLOCKLOCK
