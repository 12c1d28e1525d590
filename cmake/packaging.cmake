# SPDX-License-Identifier: BSD-2-Clause
# What `cpack` makes: packages for Debian and for RPM systems, and the source
# tarball. The presets package-deb and package-rpm set the directories that the
# systems want.
if(NOT KQUEUE_INSTALL)
    return()
endif()

set(CPACK_PACKAGE_NAME libkqueue)
set(CPACK_PACKAGE_VENDOR "libkqueue")
# The person who makes packages is their maintainer, as with all of Debian's tools. This project has no address.
set(CPACK_PACKAGE_CONTACT "" CACHE STRING
    "Maintainer of the packages, Name <address>; empty: DEBFULLNAME and DEBEMAIL of the environment")
if(NOT CPACK_PACKAGE_CONTACT)
    if(NOT "$ENV{DEBEMAIL}" STREQUAL "")
        set(kq_name "$ENV{DEBFULLNAME}")
        if(kq_name STREQUAL "")
            set(kq_name "$ENV{DEBEMAIL}")
        endif()
        set(CPACK_PACKAGE_CONTACT "${kq_name} <$ENV{DEBEMAIL}>")
    else()
        set(CPACK_PACKAGE_CONTACT "Local build of libkqueue <nobody@example.org>") # example.org: reserved, RFC 2606
        if(KQUEUE_PACKAGE)
            message(STATUS "The packages name no maintainer, but ${CPACK_PACKAGE_CONTACT}: "
                "DEBFULLNAME and DEBEMAIL in the environment, or -DCPACK_PACKAGE_CONTACT, say who that is")
        endif()
    endif()
endif()
set(CPACK_RESOURCE_FILE_LICENSE "${PROJECT_SOURCE_DIR}/LICENSE")
set(CPACK_COMPONENTS_ALL runtime development)
set(CPACK_STRIP_FILES ON)
set(CPACK_PACKAGE_HOMEPAGE_URL "${KQUEUE_HOMEPAGE_URL}")
set(CPACK_RPM_PACKAGE_URL "${KQUEUE_HOMEPAGE_URL}")
set(CPACK_VERBATIM_VARIABLES ON)
set(kq_summary "kqueue() and kevent() of the BSDs as a library")
set(kq_text "One interface to wait for descriptors, timers, signals, processes, changes\n\
of files and the program's own events. Replaces the C libkqueue without\n\
compiling programs again.")
set(kq_development_text "Headers, the static library, pkg-config and CMake files, manual.")

# Each description begins with its own summary; cpack would put that of the project before it.
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "")

# ---- Debian: libkqueue0, libkqueue-dev ----
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
# Its own way to find out what libc is needed comes with scripts that call ldconfig; triggers do that now.
set(CPACK_PRE_BUILD_SCRIPTS "${PROJECT_SOURCE_DIR}/cmake/debian_depends.cmake")
set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME libkqueue0)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libkqueue-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS "libkqueue0 (= ${PROJECT_VERSION}), libc-dev")
set(CPACK_COMPONENT_RUNTIME_DESCRIPTION "${kq_summary}\n${kq_text}")
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION
    "${kq_summary} (development)\n${kq_text}\n${kq_development_text}")
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
if(NOT kq_hears_sigaction)
    list(FILTER kq_names EXCLUDE REGEX "sig")
endif()
list(TRANSFORM kq_names REPLACE "^ +([a-z0-9_]+);$" " \\1@Base ${PROJECT_VERSION}\n")
list(SORT kq_names)
list(JOIN kq_names "" kq_symbols)
file(WRITE "${CMAKE_CURRENT_BINARY_DIR}/debian/symbols" "libkqueue.so.0 libkqueue0 #MINVER#\n* Build-Depends-Package: libkqueue-dev\n${kq_symbols}")
file(WRITE "${CMAKE_CURRENT_BINARY_DIR}/debian/shlibs" "libkqueue 0 libkqueue0 (>= ${PROJECT_VERSION})\n")
file(WRITE "${CMAKE_CURRENT_BINARY_DIR}/debian/triggers" "activate-noawait ldconfig\n")
set(CPACK_DEBIAN_RUNTIME_PACKAGE_CONTROL_EXTRA "${CMAKE_CURRENT_BINARY_DIR}/debian/shlibs"
    "${CMAKE_CURRENT_BINARY_DIR}/debian/symbols" "${CMAKE_CURRENT_BINARY_DIR}/debian/triggers")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
# ---- RPM: libkqueue, libkqueue-devel ----
set(CPACK_RPM_COMPONENT_INSTALL ON)
set(CPACK_RPM_MAIN_COMPONENT runtime)
set(CPACK_RPM_FILE_NAME RPM-DEFAULT)
if(KQUEUE_PACKAGE STREQUAL "rpm")
    set(CMAKE_INSTALL_SO_NO_EXE OFF) # rpm wants libraries to be executable; Debian's cmake says that they are not
endif()
set(CPACK_RPM_PACKAGE_LICENSE "BSD-2-Clause")
set(CPACK_RPM_SPEC_MORE_DEFINE "%define packager ${CPACK_PACKAGE_CONTACT}") # cpack has no variable for it
set(CPACK_RPM_RUNTIME_PACKAGE_GROUP "System Environment/Libraries")
set(CPACK_RPM_DEVELOPMENT_PACKAGE_GROUP "Development/Libraries")
set(CPACK_RPM_RUNTIME_PACKAGE_NAME libkqueue)
set(CPACK_RPM_DEVELOPMENT_PACKAGE_NAME libkqueue-devel)
set(CPACK_RPM_RUNTIME_PACKAGE_SUMMARY "${kq_summary}")
set(CPACK_RPM_DEVELOPMENT_PACKAGE_SUMMARY "${kq_summary} (development)")
set(CPACK_RPM_RUNTIME_PACKAGE_DESCRIPTION "${kq_text}")
set(CPACK_RPM_DEVELOPMENT_PACKAGE_DESCRIPTION "${kq_text}\n${kq_development_text}")
set(CPACK_RPM_DEVELOPMENT_PACKAGE_REQUIRES "libkqueue = ${PROJECT_VERSION}")
# Directories of the system, which no package of ours owns.
foreach(dir IN ITEMS ${CMAKE_INSTALL_LIBDIR}/cmake ${CMAKE_INSTALL_LIBDIR}/pkgconfig
        ${CMAKE_INSTALL_DATADIR}/doc ${CMAKE_INSTALL_DATADIR}/licenses
        ${CMAKE_INSTALL_MANDIR} ${CMAKE_INSTALL_MANDIR}/man2)
    list(APPEND CPACK_RPM_EXCLUDE_FROM_AUTO_FILELIST_ADDITION "/usr/${dir}")
endforeach()

# ---- the tools: said now, not after the library was built ----
if(KQUEUE_PACKAGE)
    set(kq_tool_deb dpkg-shlibdeps)
    set(kq_tool_rpm rpmbuild)
    set(kq_tool_in_deb dpkg-dev)
    set(kq_tool_in_rpm rpm)
    find_program(KQUEUE_PACKAGE_TOOL NAMES ${kq_tool_${KQUEUE_PACKAGE}} DOC "What packages are made with")
    if(NOT KQUEUE_PACKAGE_TOOL)
        message(FATAL_ERROR "Packages (${KQUEUE_PACKAGE}) need ${kq_tool_${KQUEUE_PACKAGE}}, which was not found "
            "(Debian: apt-get install ${kq_tool_in_${KQUEUE_PACKAGE}})")
    endif()
    if(KQUEUE_PACKAGE STREQUAL "rpm" AND NOT CPACK_PACKAGE_DIRECTORY AND CMAKE_BINARY_DIR MATCHES " ")
        message(FATAL_ERROR "rpmbuild takes no path with a space: -DCPACK_PACKAGE_DIRECTORY=<directory> "
            "says where it can work and leave the packages")
    endif()
endif()

# ---- documents, in the places and compressed in the way that each system wants ----
if(KQUEUE_PACKAGE)
    include(package_documents)
endif()

# ---- Windows: one ZIP with all ----
if(WIN32)
    set(CPACK_GENERATOR ZIP)
    set(CPACK_PACKAGE_FILE_NAME "libkqueue-${PROJECT_VERSION}-windows-${CMAKE_SYSTEM_PROCESSOR}")
    install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DATADIR}/doc/libkqueue"
        COMPONENT runtime)
endif()

# ---- source ----
set(CPACK_SOURCE_GENERATOR TGZ)
set(CPACK_SOURCE_PACKAGE_FILE_NAME "libkqueue-${PROJECT_VERSION}")
set(CPACK_SOURCE_IGNORE_FILES "/[.]git$" "/[.]git/" "/[.]ci/" "^${PROJECT_SOURCE_DIR}/build/")

include(CPack)
