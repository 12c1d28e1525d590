# SPDX-License-Identifier: BSD-2-Clause
# kqueue (shared) and kqueue_static, from one set of objects. A library that is not asked for is not built.
#
# Programs in C link either with the C driver: no libstdc++ symbol may be
# needed. The shared library proves that by being linked as C with -z defs.

include(CheckLinkerFlag)
if(NOT WIN32)
    find_package(Threads REQUIRED)
endif()

# kq_core_flags(<target>): the language of the library. The definitions are those of the backend that
# kq_read_backend() has read.
function(kq_core_flags target)
    set_target_properties(${target} PROPERTIES
        CXX_STANDARD 20
        CXX_STANDARD_REQUIRED ON
        CXX_EXTENSIONS OFF
        CXX_VISIBILITY_PRESET hidden
        VISIBILITY_INLINES_HIDDEN ON
        POSITION_INDEPENDENT_CODE ON
        INTERPROCEDURAL_OPTIMIZATION OFF)
    target_compile_options(${target} PRIVATE
        -fno-exceptions -fno-rtti -fno-threadsafe-statics -fno-plt
        # libstdc++'s own assertions call into libstdc++.
        -U_GLIBCXX_ASSERTIONS -D_GLIBCXX_NO_ASSERTIONS
        # objcopy cannot make GNU_UNIQUE names local: constants of headers, without optimization.
        "$<$<CXX_COMPILER_ID:GNU>:-fno-gnu-unique>"
        # A packager may ask for LTO in all targets. Here the project decides: see kq_lto.
        -fno-lto)
    # Two thirds of the time that a file takes to be compiled go into these headers. Clang compiles
    # without them, and so finds a file that does not include what it uses.
    if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
        target_precompile_headers(${target} PRIVATE
            <algorithm> <atomic> <concepts> <iterator> <new> <span> <type_traits> <utility>)
    endif()
    target_compile_definitions(${target} PRIVATE
        ${KQUEUE_BACKEND_DEFINITIONS}
        KQ_VERSION_MAJOR=${PROJECT_VERSION_MAJOR}
        KQ_VERSION_MINOR=${PROJECT_VERSION_MINOR}
        KQ_VERSION_PATCH=${PROJECT_VERSION_PATCH})
endfunction()

# LTO: the way from kevent() to the kernel and back passes through several files, and each frame that
# is open across a system call costs time (src/linux/raw_call.h): a tenth of a short call. Both
# libraries end as machine code. Other compilers would need another linker for LTO.
set(kq_lto "")
if(KQUEUE_LTO AND NOT WIN32 AND NOT KQUEUE_INSTRUMENTED AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    include(CheckIPOSupported)
    check_ipo_supported(RESULT kq_lto_works LANGUAGES CXX OUTPUT kq_lto_output)
    if(kq_lto_works)
        # LTO in one part: several parts are compiled at the same time. For that GCC needs make, and warns without it.
        set(kq_lto "$<$<NOT:$<CONFIG:Debug>>:-flto=auto>" "$<$<NOT:$<CONFIG:Debug>>:-flto-partition=one>")
    endif()
endif()

# kq_compile(<target> <backend>): the core on a platform directory, of which kq_read_backend() has
# read the list.
function(kq_compile target backend)
    add_library(${target} OBJECT EXCLUDE_FROM_ALL ${kq_core} ${KQUEUE_BACKEND_SOURCES})
    kq_core_flags(${target})
    kq_warnings(${target})
    target_compile_definitions(${target} PRIVATE "KQ_BACKEND=\"${backend}\"")
    # src/platform.h includes "backend.h" from this directory.
    target_include_directories(${target} PRIVATE
        "${PROJECT_SOURCE_DIR}/src/${backend}" "${PROJECT_SOURCE_DIR}/src" "${PROJECT_SOURCE_DIR}/include")
    target_link_libraries(${target} PUBLIC ${KQUEUE_BACKEND_LIBRARIES})
    if(kq_lto)
        # Fat objects: a linker that does not know LTO would otherwise link nothing.
        target_compile_options(${target} PRIVATE ${kq_lto} "$<$<NOT:$<CONFIG:Debug>>:-ffat-lto-objects>")
    endif()
endfunction()
kq_compile(kq_objects ${kq_backend})
# CMake counts the precompiled headers among the objects.
set(kq_all_objects "$<FILTER:$<TARGET_OBJECTS:kq_objects>,EXCLUDE,[.](gch|pch)$>")

# The objects are C++, what links them is C: no C++ run-time library is implied.
set(CMAKE_CXX_IMPLICIT_LINK_LIBRARIES "")
set(CMAKE_CXX_IMPLICIT_LINK_DIRECTORIES "")
set(kq_map "${PROJECT_SOURCE_DIR}/src/libkqueue.map")

# kq_interface(<target>): linked as C. A target that links it finds the header, in the build tree and when installed.
function(kq_interface target)
    set_target_properties(${target} PROPERTIES LINKER_LANGUAGE C OUTPUT_NAME kqueue)
    target_include_directories(${target} INTERFACE
        "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>"
        "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/kqueue>")
endfunction()

if(WIN32)
    include(library_windows)
    return()
endif()

# ---- shared ----
# kq_link_shared(<target> <objects>): of the backend that kq_read_backend() has read.
function(kq_link_shared target objects)
    add_library(${target} SHARED $<TARGET_OBJECTS:${objects}>)
    kq_interface(${target})
    set_target_properties(${target} PROPERTIES
        VERSION ${PROJECT_VERSION}
        SOVERSION 0 # the C libkqueue's: we replace it
        LINK_DEPENDS "${kq_map}")
    target_link_libraries(${target} PRIVATE Threads::Threads ${KQUEUE_BACKEND_LIBRARIES})
    # nodelete: the fork handlers stay registered after a dlclose().
    if(CMAKE_SYSTEM_NAME STREQUAL "SunOS") # the system's own linker: ld(1)
        target_link_options(${target} PRIVATE LINKER:-z,now,-z,nodelete,-z,ignore "LINKER:-M,${kq_map}")
    else()
        target_link_options(${target} PRIVATE
            LINKER:-z,relro,-z,now,-z,nodelete
            LINKER:--as-needed
            "LINKER:--version-script=${kq_map}")
    endif()
    target_link_options(${target} PRIVATE ${KQUEUE_BACKEND_LINK_OPTIONS} ${kq_lto})
    if(NOT KQUEUE_INSTRUMENTED)
        target_link_options(${target} PRIVATE -static-libgcc LINKER:-z,defs)
    endif()
endfunction()
kq_link_shared(kqueue kq_objects)

# ---- static: one object in which every other name is local ----
# An archive of the objects as they are would put all their names, and copies
# of std:: templates, in the namespace of the program that links it.
if(CMAKE_OBJCOPY AND NOT KQUEUE_INSTRUMENTED)
    file(STRINGS "${kq_map}" kq_exports REGEX "^    [a-z0-9_]+;$")
    list(TRANSFORM kq_exports REPLACE "^ +([a-z0-9_]+);$" "--keep-global-symbol=\\1")
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${kq_map}")

    # Sections of COMDAT groups must stop being group members. Otherwise the linker
    # may drop ours, and use one of the same name from another library.
    check_linker_flag(CXX "-r;-nostdlib;LINKER:--force-group-allocation" KQUEUE_LD_FORCE_GROUP_ALLOCATION)
    set(kq_relocatable_flags ${CMAKE_CXX_FLAGS})
    separate_arguments(kq_relocatable_flags)
    if(CMAKE_CXX_COMPILER_TARGET)
        list(APPEND kq_relocatable_flags ${CMAKE_CXX_COMPILE_OPTIONS_TARGET}${CMAKE_CXX_COMPILER_TARGET})
    endif()
    if(KQUEUE_LD_FORCE_GROUP_ALLOCATION)
        list(APPEND kq_relocatable_flags -Wl,--force-group-allocation)
    endif()
    if(kq_lto)
        # Names can be made local in machine code only.
        list(APPEND kq_relocatable_flags ${kq_lto} "$<$<NOT:$<CONFIG:Debug>>:-flinker-output=nolto-rel>")
    endif()

    set(kq_single "${CMAKE_CURRENT_BINARY_DIR}/libkqueue.o")
    add_custom_command(OUTPUT "${kq_single}"
        COMMAND ${CMAKE_CXX_COMPILER} ${kq_relocatable_flags} -r -nostdlib
                -o "${kq_single}.all" ${kq_all_objects}
        COMMAND ${CMAKE_OBJCOPY} ${kq_exports} "${kq_single}.all" "${kq_single}"
        DEPENDS kq_objects ${kq_all_objects} "${kq_map}"
        COMMENT "Linking libkqueue.o, all but the API local"
        COMMAND_EXPAND_LISTS VERBATIM)
    set_source_files_properties("${kq_single}" PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
    add_library(kqueue_static STATIC "${kq_single}")
else()
    add_library(kqueue_static STATIC $<TARGET_OBJECTS:kq_objects>)
endif()
kq_interface(kqueue_static)
target_link_libraries(kqueue_static INTERFACE Threads::Threads ${KQUEUE_BACKEND_LIBRARIES})
