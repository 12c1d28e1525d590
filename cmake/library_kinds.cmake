# SPDX-License-Identifier: BSD-2-Clause
# Which of the libraries are built, and their names.
#
# libkqueue::kqueue is the kind that is asked for, libkqueue::kqueue_static the static one. The
# other kind is built only if something is linked with it.
list(GET kq_kinds 0 kq_kind)
add_library(libkqueue::kqueue ALIAS ${kq_kind})
add_library(libkqueue::kqueue_static ALIAS kqueue_static)
foreach(target IN ITEMS kqueue kqueue_static)
    if(NOT target IN_LIST kq_kinds)
        set_target_properties(${target} PROPERTIES EXCLUDE_FROM_ALL ON)
    endif()
endforeach()
