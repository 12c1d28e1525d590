# What `cpack` makes: packages for Debian and for RPM systems, and the source
# tarball. The presets package-deb and package-rpm set the directories that the
# systems want.
if(NOT KQUEUE_INSTALL)
    return()
endif()

set(CPACK_PACKAGE_NAME libkqueue)
set(CPACK_PACKAGE_VENDOR "libkqueue")
set(CPACK_PACKAGE_CONTACT "libkqueue developers <libkqueue@localhost>" CACHE STRING "Maintainer of the packages")
set(CPACK_RESOURCE_FILE_LICENSE "${PROJECT_SOURCE_DIR}/LICENSE")
set(CPACK_COMPONENTS_ALL runtime development)
set(CPACK_STRIP_FILES ON)
set(CPACK_VERBATIM_VARIABLES ON)
set(kq_summary "kqueue() and kevent() of the BSDs as a library")
set(kq_text "One interface to wait for descriptors, timers, signals, processes, changes of\n\
files and the program's own events. Replaces the C libkqueue without recompiling.")

# ---- Debian: libkqueue0, libkqueue-dev ----
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY ">=")
set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME libkqueue0)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libkqueue-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS "libkqueue0 (= ${PROJECT_VERSION}), libc-dev")
set(CPACK_COMPONENT_RUNTIME_DESCRIPTION "${kq_summary}\n${kq_text}")
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION
    "${kq_summary} (development)\n${kq_text}\nHeaders, the static library, pkg-config and CMake files, manual.")
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
if(CMAKE_VERSION VERSION_LESS 3.31)
    # This cpack has no variable for the field; it writes the section as it is.
    foreach(component IN ITEMS RUNTIME DEVELOPMENT)
        string(APPEND CPACK_DEBIAN_${component}_PACKAGE_SECTION "\nMulti-Arch: same")
    endforeach()
else()
    set(CPACK_DEBIAN_PACKAGE_MULTIARCH same)
endif()

# The symbols file: all names since this version, since programs compiled with
# this header may use what earlier libraries of this soname refuse.
file(STRINGS "${PROJECT_SOURCE_DIR}/src/libkqueue.map" kq_names REGEX "^    [a-z0-9_]+;$")
list(TRANSFORM kq_names REPLACE "^ +([a-z0-9_]+);$" " \\1@Base ${PROJECT_VERSION}\n")
list(SORT kq_names)
list(JOIN kq_names "" kq_symbols)
file(WRITE "${CMAKE_CURRENT_BINARY_DIR}/debian/symbols" "libkqueue.so.0 libkqueue0 #MINVER#\n${kq_symbols}")
file(WRITE "${CMAKE_CURRENT_BINARY_DIR}/debian/triggers" "activate-noawait ldconfig\n")
set(CPACK_DEBIAN_RUNTIME_PACKAGE_CONTROL_EXTRA
    "${CMAKE_CURRENT_BINARY_DIR}/debian/symbols" "${CMAKE_CURRENT_BINARY_DIR}/debian/triggers")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
# ---- RPM: libkqueue, libkqueue-devel ----
set(CPACK_RPM_COMPONENT_INSTALL ON)
set(CPACK_RPM_MAIN_COMPONENT runtime)
set(CPACK_RPM_FILE_NAME RPM-DEFAULT)
set(CPACK_RPM_PACKAGE_LICENSE "BSD-2-Clause")
set(CPACK_RPM_RUNTIME_PACKAGE_NAME libkqueue)
set(CPACK_RPM_DEVELOPMENT_PACKAGE_NAME libkqueue-devel)
set(CPACK_RPM_RUNTIME_PACKAGE_SUMMARY "${kq_summary}")
set(CPACK_RPM_DEVELOPMENT_PACKAGE_SUMMARY "${kq_summary} (development)")
set(CPACK_RPM_DEVELOPMENT_PACKAGE_REQUIRES "libkqueue = ${PROJECT_VERSION}")
# Directories of the system, which no package of ours owns.
foreach(dir IN ITEMS ${CMAKE_INSTALL_LIBDIR}/cmake ${CMAKE_INSTALL_LIBDIR}/pkgconfig
        ${CMAKE_INSTALL_MANDIR} ${CMAKE_INSTALL_MANDIR}/man2)
    list(APPEND CPACK_RPM_EXCLUDE_FROM_AUTO_FILELIST_ADDITION "/usr/${dir}")
endforeach()

# ---- the licence, where the one and the other look for it; in packages only ----
set(kq_licences "runtime=doc/libkqueue0/copyright" "development=doc/libkqueue-dev/copyright")
if(CMAKE_INSTALL_LIBDIR STREQUAL "lib64")
    set(kq_licences "runtime=licenses/libkqueue/LICENSE" "development=licenses/libkqueue-devel/LICENSE")
endif()
foreach(place IN LISTS kq_licences)
    string(REGEX MATCH "^(.*)=(.*)/(.*)$" _ "${place}")
    install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DATADIR}/${CMAKE_MATCH_2}"
        RENAME "${CMAKE_MATCH_3}" COMPONENT ${CMAKE_MATCH_1} EXCLUDE_FROM_ALL)
endforeach()

# ---- source ----
set(CPACK_SOURCE_GENERATOR TGZ)
set(CPACK_SOURCE_PACKAGE_FILE_NAME "libkqueue-${PROJECT_VERSION}")
set(CPACK_SOURCE_IGNORE_FILES "/[.]git$" "/[.]git/" "/[.]ci/" "^${PROJECT_SOURCE_DIR}/build/")

include(CPack)
