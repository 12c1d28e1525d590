# kqueue (shared) and kqueue_static, from one set of objects.
#
# Programs in C link either with the C driver: no libstdc++ symbol may be
# needed. The shared library proves that by being linked as C with -z defs.

include(CheckLinkerFlag)
find_package(Threads REQUIRED)

# kq_core_flags(<target>): the language the library is written in.
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
        # Whoever packages it may ask for it everywhere: here it is for us to say, see kq_lto.
        -fno-lto)
    target_compile_definitions(${target} PRIVATE
        ${KQUEUE_BACKEND_DEFINITIONS}
        KQ_VERSION_MAJOR=${PROJECT_VERSION_MAJOR}
        KQ_VERSION_MINOR=${PROJECT_VERSION_MINOR}
        KQ_VERSION_PATCH=${PROJECT_VERSION_PATCH})
endfunction()

add_library(kq_objects OBJECT ${KQUEUE_CORE_SOURCES} ${KQUEUE_BACKEND_SOURCES})
kq_core_flags(kq_objects)
kq_warnings(kq_objects)
# src/platform.h includes "backend.h": this directory says whose.
target_include_directories(kq_objects PRIVATE
    "${PROJECT_SOURCE_DIR}/src/${kq_backend}" "${PROJECT_SOURCE_DIR}/src" "${PROJECT_SOURCE_DIR}/include")

# Across files: the way from kevent() to the kernel and back passes through several, and each
# frame that is open across a system call costs (src/linux/raw_call.h): a tenth of short calls.
# Both libraries end as machine code; other compilers would need another linker for it.
set(kq_lto "")
if(KQUEUE_LTO AND NOT KQUEUE_INSTRUMENTED AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    include(CheckIPOSupported)
    check_ipo_supported(RESULT kq_lto_works LANGUAGES CXX OUTPUT kq_lto_output)
    if(kq_lto_works)
        set(kq_lto "$<$<NOT:$<CONFIG:Debug>>:-flto=auto>")
        # Fat, since the linker may be one that knows nothing of it and would link nothing.
        target_compile_options(kq_objects PRIVATE ${kq_lto} "$<$<NOT:$<CONFIG:Debug>>:-ffat-lto-objects>")
    endif()
endif()

# The objects are C++, what links them is C: no C++ run-time library is implied.
set(CMAKE_CXX_IMPLICIT_LINK_LIBRARIES "")
set(CMAKE_CXX_IMPLICIT_LINK_DIRECTORIES "")
set(kq_map "${PROJECT_SOURCE_DIR}/src/libkqueue.map")

# ---- shared ----
add_library(kqueue SHARED $<TARGET_OBJECTS:kq_objects>)
set_target_properties(kqueue PROPERTIES
    VERSION ${PROJECT_VERSION}
    SOVERSION 0 # the C libkqueue's: we replace it
    LINK_DEPENDS "${kq_map}")
# nodelete: the fork handlers stay registered after a dlclose().
target_link_options(kqueue PRIVATE
    LINKER:-z,relro,-z,now,-z,nodelete
    LINKER:--as-needed
    "LINKER:--version-script=${kq_map}"
    ${kq_lto})
if(NOT KQUEUE_INSTRUMENTED)
    target_link_options(kqueue PRIVATE -static-libgcc LINKER:-z,defs)
endif()

# ---- static: one object in which every other name is local ----
# An archive of the objects as they are would put all their names, and copies
# of std:: templates, in the namespace of the program that links it.
if(CMAKE_OBJCOPY AND NOT KQUEUE_INSTRUMENTED)
    file(STRINGS "${kq_map}" kq_exports REGEX "^    [a-z0-9_]+;$")
    list(TRANSFORM kq_exports REPLACE "^ +([a-z0-9_]+);$" "--keep-global-symbol=\\1")
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${kq_map}")

    # Sections of COMDAT groups must stop being group members, or the linker
    # may drop ours for somebody else's of the same name.
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
        list(APPEND kq_relocatable_flags "${kq_lto}" "$<$<NOT:$<CONFIG:Debug>>:-flinker-output=nolto-rel>")
    endif()

    set(kq_single "${CMAKE_CURRENT_BINARY_DIR}/libkqueue.o")
    add_custom_command(OUTPUT "${kq_single}"
        COMMAND ${CMAKE_CXX_COMPILER} ${kq_relocatable_flags} -r -nostdlib
                -o "${kq_single}.all" $<TARGET_OBJECTS:kq_objects>
        COMMAND ${CMAKE_OBJCOPY} ${kq_exports} "${kq_single}.all" "${kq_single}"
        DEPENDS kq_objects $<TARGET_OBJECTS:kq_objects> "${kq_map}"
        COMMENT "Linking libkqueue.o, all but the API local"
        COMMAND_EXPAND_LISTS VERBATIM)
    set_source_files_properties("${kq_single}" PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
    add_library(kqueue_static STATIC "${kq_single}")
else()
    add_library(kqueue_static STATIC $<TARGET_OBJECTS:kq_objects>)
endif()
set_target_properties(kqueue_static PROPERTIES OUTPUT_NAME kqueue)
target_link_libraries(kqueue_static INTERFACE Threads::Threads)

target_link_libraries(kqueue PRIVATE Threads::Threads)
foreach(target IN ITEMS kqueue kqueue_static)
    set_target_properties(${target} PROPERTIES LINKER_LANGUAGE C)
    target_include_directories(${target} INTERFACE
        "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>"
        "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/kqueue>")
    add_library(libkqueue::${target} ALIAS ${target})
endforeach()
