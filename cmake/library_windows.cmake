# SPDX-License-Identifier: BSD-2-Clause
# The DLL, its import library and the static library, under the names that the tool-chain expects:
# libkqueue.dll, libkqueue.dll.a and libkqueue.a; with Microsoft's kqueue.dll, kqueue.lib and
# kqueue_static.lib. System DLLs are all that they need.
set(kq_def "${PROJECT_SOURCE_DIR}/src/windows/libkqueue.def")

# As on Unix: kq_link_shared(<target> <objects>)
function(kq_link_shared target objects)
    add_library(${target} SHARED $<TARGET_OBJECTS:${objects}> "${kq_def}")
    kq_interface(${target})
    target_compile_definitions(${target} INTERFACE LIBKQUEUE_DLL)
    target_link_libraries(${target} PRIVATE ws2_32 ntdll)
    if(MINGW)
        target_link_options(${target} PRIVATE -static-libgcc)
    endif()
endfunction()
kq_link_shared(kqueue kq_objects)

add_library(kqueue_static STATIC $<TARGET_OBJECTS:kq_objects>)
kq_interface(kqueue_static)
target_link_libraries(kqueue_static INTERFACE ws2_32 ntdll)
if(MSVC)
    set_target_properties(kqueue_static PROPERTIES OUTPUT_NAME kqueue_static)
endif()
