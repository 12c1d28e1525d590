# SPDX-License-Identifier: BSD-2-Clause
# Read by cpack when all is in place: sets what libkqueue0 depends on, by dpkg-shlibdeps.
if(NOT CPACK_GENERATOR STREQUAL "DEB")
    return()
endif()
file(GLOB_RECURSE kq_library "${CPACK_TEMPORARY_DIRECTORY}/runtime/*/libkqueue.so.*.*")
if(NOT kq_library)
    message(FATAL_ERROR "no shared library under ${CPACK_TEMPORARY_DIRECTORY}/runtime")
endif()
# It is looked at in a tree as debhelper has it: elsewhere dpkg-shlibdeps warns that it may miss something.
set(kq_shlibdeps "${CPACK_TOPLEVEL_DIRECTORY}/shlibdeps")
file(WRITE "${kq_shlibdeps}/debian/control" "Source: libkqueue\n\nPackage: libkqueue0\nArchitecture: any\n")
file(REMOVE_RECURSE "${kq_shlibdeps}/debian/libkqueue0")
file(MAKE_DIRECTORY "${kq_shlibdeps}/debian/libkqueue0/DEBIAN")
file(COPY "${kq_library}" DESTINATION "${kq_shlibdeps}/debian/libkqueue0/usr/lib")
get_filename_component(kq_library "${kq_library}" NAME)
execute_process(COMMAND dpkg-shlibdeps -O "debian/libkqueue0/usr/lib/${kq_library}"
    WORKING_DIRECTORY "${kq_shlibdeps}"
    OUTPUT_VARIABLE kq_depends OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
string(REGEX REPLACE "^shlibs:Depends=" "" kq_depends "${kq_depends}")
set(CPACK_DEBIAN_RUNTIME_PACKAGE_DEPENDS "${kq_depends}")
