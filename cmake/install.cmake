# SPDX-License-Identifier: BSD-2-Clause
# What `cmake --install` puts where; the result can be moved as a whole.
if(NOT KQUEUE_INSTALL)
    return()
endif()
include(CMakePackageConfigHelpers)

set(kq_cmakedir "${CMAKE_INSTALL_LIBDIR}/cmake/libkqueue")

install(TARGETS ${kq_kinds} EXPORT libkqueue
    RUNTIME COMPONENT runtime
    LIBRARY COMPONENT runtime NAMELINK_COMPONENT development
    ARCHIVE COMPONENT development)
# Debugging information is seven times the library. cpack would strip the shared one alone.
if(KQUEUE_STRIP AND CMAKE_STRIP AND NOT KQUEUE_INSTRUMENTED AND NOT WIN32
        AND NOT CMAKE_SYSTEM_NAME STREQUAL "SunOS") # whose strip has other options
    foreach(kind IN LISTS kq_kinds)
        set(dir "${CMAKE_INSTALL_LIBDIR}")
        if(NOT IS_ABSOLUTE "${dir}")
            string(PREPEND dir "\${CMAKE_INSTALL_PREFIX}/")
        endif()
        string(REPLACE "kqueue_static" development component ${kind})
        string(REPLACE "kqueue" runtime component ${component})
        install(CODE "if(NOT \"\${CMAKE_INSTALL_CONFIG_NAME}\" STREQUAL \"Debug\")
            execute_process(COMMAND \"${CMAKE_STRIP}\" -S -R .comment \"\$ENV{DESTDIR}${dir}/$<TARGET_FILE_NAME:${kind}>\"
                COMMAND_ERROR_IS_FATAL ANY)
        endif()" COMPONENT ${component})
    endforeach()
endif()
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/kqueue"
    COMPONENT development FILES_MATCHING PATTERN "*.h")

# ---- kqueue(2), and its other names ----
set(kq_manual "${PROJECT_SOURCE_DIR}/src/kqueue.2")
foreach(name IN ITEMS kevent kevent64 kqueue1 kqueuex)
    file(WRITE "${CMAKE_CURRENT_BINARY_DIR}/man/${name}.2" ".so man2/kqueue.2\n")
    list(APPEND kq_manual "${CMAKE_CURRENT_BINARY_DIR}/man/${name}.2")
endforeach()
# Packages have it compressed: packaging.cmake.
if(NOT KQUEUE_PACKAGE)
    install(FILES ${kq_manual} DESTINATION "${CMAKE_INSTALL_MANDIR}/man2" COMPONENT development)
endif()

# ---- find_package(libkqueue) ----
configure_package_config_file(
    "${PROJECT_SOURCE_DIR}/cmake/libkqueue-config.cmake.in" libkqueue-config.cmake
    INSTALL_DESTINATION "${kq_cmakedir}" NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(libkqueue-config-version.cmake COMPATIBILITY SameMajorVersion)
install(EXPORT libkqueue FILE libkqueue-targets.cmake NAMESPACE libkqueue::
    DESTINATION "${kq_cmakedir}" COMPONENT development)
install(FILES
    "${CMAKE_CURRENT_BINARY_DIR}/libkqueue-config.cmake"
    "${CMAKE_CURRENT_BINARY_DIR}/libkqueue-config-version.cmake"
    DESTINATION "${kq_cmakedir}" COMPONENT development)

# ---- pkg-config libkqueue ----
# The prefix is found from where the .pc file lies, unless the library directory was given as an
# absolute path, or is the system's: pkg-config leaves out -L of directories that are searched
# anyway, and knows them by their names.
set(kq_pcdir "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}" OR CMAKE_INSTALL_PREFIX STREQUAL "/usr")
    set(kq_pc_prefix "${CMAKE_INSTALL_PREFIX}")
else()
    file(RELATIVE_PATH kq_up "/${kq_pcdir}" "/")
    string(REGEX REPLACE "/$" "" kq_up "${kq_up}")
    set(kq_pc_prefix "\${pcfiledir}/${kq_up}")
endif()
foreach(dir IN ITEMS INCLUDEDIR LIBDIR)
    set(kq_pc_${dir} "${CMAKE_INSTALL_${dir}}")
    if(NOT IS_ABSOLUTE "${kq_pc_${dir}}")
        string(PREPEND kq_pc_${dir} "\${prefix}/")
    endif()
endforeach()
set(kq_pc_private -lpthread)
if(WIN32)
    set(kq_pc_private "-lws2_32 -lntdll")
endif()
set(kq_pc_url "")
if(KQUEUE_HOMEPAGE_URL)
    set(kq_pc_url "URL: ${KQUEUE_HOMEPAGE_URL}\n")
endif()
configure_file("${PROJECT_SOURCE_DIR}/cmake/libkqueue.pc.in" libkqueue.pc @ONLY)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/libkqueue.pc" DESTINATION "${kq_pcdir}"
    COMPONENT development)

# ---- documents and examples ----
set(kq_documents "${PROJECT_SOURCE_DIR}/README.md" "${PROJECT_SOURCE_DIR}/BUGS.md" "${PROJECT_SOURCE_DIR}/NEWS.md")
set(kq_docdir "${CMAKE_INSTALL_DATADIR}/doc/libkqueue")
if(KQUEUE_PACKAGE STREQUAL "deb")
    string(APPEND kq_docdir "-dev")
elseif(KQUEUE_PACKAGE STREQUAL "rpm")
    string(APPEND kq_docdir "-devel")
endif()
install(FILES ${kq_documents} DESTINATION "${kq_docdir}" COMPONENT development)
install(DIRECTORY "${PROJECT_SOURCE_DIR}/test/examples/" DESTINATION "${kq_docdir}/examples"
    COMPONENT development FILES_MATCHING PATTERN "*.c")
