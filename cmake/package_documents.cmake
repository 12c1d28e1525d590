# SPDX-License-Identifier: BSD-2-Clause
# In packages only: the licence, the changelog and the manual, as Debian's policy and RPM systems want them.
set(kq_packages "runtime=libkqueue" "development=libkqueue-devel")
if(KQUEUE_PACKAGE STREQUAL "deb")
    set(kq_packages "runtime=libkqueue0" "development=libkqueue-dev")
endif()
find_program(KQUEUE_GZIP NAMES gzip REQUIRED)

# kq_install_compressed(<file> <directory> <component>): without time and name, so that it is always the same
function(kq_install_compressed file directory component)
    get_filename_component(name "${file}" NAME)
    set(compressed "${CMAKE_CURRENT_BINARY_DIR}/package/${component}/${name}.gz")
    file(MAKE_DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}/package/${component}")
    execute_process(COMMAND "${KQUEUE_GZIP}" -9nc "${file}" OUTPUT_FILE "${compressed}" COMMAND_ERROR_IS_FATAL ANY)
    install(FILES "${compressed}" DESTINATION "${directory}" COMPONENT ${component})
endfunction()

# ---- the manual; its other names are links, which need no reader that knows .so ----
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/kqueue.2" "${PROJECT_SOURCE_DIR}/NEWS.md")
kq_install_compressed("${PROJECT_SOURCE_DIR}/src/kqueue.2" "${CMAKE_INSTALL_MANDIR}/man2" development)
foreach(name IN ITEMS kevent kevent64 kqueue1 kqueuex)
    set(link "${CMAKE_CURRENT_BINARY_DIR}/package/${name}.2.gz")
    file(CREATE_LINK kqueue.2.gz "${link}" SYMBOLIC)
    install(FILES "${link}" DESTINATION "${CMAKE_INSTALL_MANDIR}/man2" COMPONENT development)
endforeach()

# ---- the licence, the changelog ----
string(TIMESTAMP kq_date "%a, %d %b %Y %H:%M:%S +0000" UTC) # SOURCE_DATE_EPOCH, if that is set
file(WRITE "${CMAKE_CURRENT_BINARY_DIR}/package/changelog" "libkqueue (${PROJECT_VERSION}) unstable; urgency=medium

  * See NEWS.md, in libkqueue-dev.

 -- ${CPACK_PACKAGE_CONTACT}  ${kq_date}
")
foreach(package IN LISTS kq_packages)
    string(REGEX MATCH "^(.*)=(.*)$" _ "${package}")
    set(component ${CMAKE_MATCH_1})
    set(package ${CMAKE_MATCH_2})
    if(KQUEUE_PACKAGE STREQUAL "deb")
        file(READ "${PROJECT_SOURCE_DIR}/LICENSE" text)
        string(PREPEND text "Everything in this package, its sources and its packaging:\n\n")
        file(WRITE "${CMAKE_CURRENT_BINARY_DIR}/package/copyright" "${text}")
        install(FILES "${CMAKE_CURRENT_BINARY_DIR}/package/copyright"
            DESTINATION "${CMAKE_INSTALL_DATADIR}/doc/${package}" COMPONENT ${component})
        kq_install_compressed("${CMAKE_CURRENT_BINARY_DIR}/package/changelog"
            "${CMAKE_INSTALL_DATADIR}/doc/${package}" ${component})
    else()
        install(FILES "${PROJECT_SOURCE_DIR}/LICENSE"
            DESTINATION "${CMAKE_INSTALL_DATADIR}/licenses/${package}" COMPONENT ${component})
    endif()
endforeach()
