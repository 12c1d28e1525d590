# What `cmake --install` puts where; the result can be moved as a whole.
if(NOT KQUEUE_INSTALL)
    return()
endif()
include(CMakePackageConfigHelpers)

set(kq_cmakedir "${CMAKE_INSTALL_LIBDIR}/cmake/libkqueue")

install(TARGETS kqueue EXPORT libkqueue
    RUNTIME COMPONENT runtime
    LIBRARY COMPONENT runtime NAMELINK_COMPONENT development)
install(TARGETS kqueue_static EXPORT libkqueue ARCHIVE COMPONENT development)
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/kqueue"
    COMPONENT development FILES_MATCHING PATTERN "*.h")

# ---- kqueue(2), and its other names ----
set(kq_manual "${PROJECT_SOURCE_DIR}/src/kqueue.2")
foreach(name IN ITEMS kevent kevent64 kqueue1 kqueuex)
    file(WRITE "${CMAKE_CURRENT_BINARY_DIR}/man/${name}.2" ".so man2/kqueue.2\n")
    list(APPEND kq_manual "${CMAKE_CURRENT_BINARY_DIR}/man/${name}.2")
endforeach()
install(FILES ${kq_manual} DESTINATION "${CMAKE_INSTALL_MANDIR}/man2" COMPONENT development)

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
# The prefix is found from where the .pc file lies, unless the library
# directory was given as an absolute path.
set(kq_pcdir "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
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
configure_file("${PROJECT_SOURCE_DIR}/cmake/libkqueue.pc.in" libkqueue.pc @ONLY)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/libkqueue.pc" DESTINATION "${kq_pcdir}"
    COMPONENT development)
