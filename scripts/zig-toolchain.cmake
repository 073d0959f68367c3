# Builds for another system with the Zig compiler, which brings every system's libc headers.
#
# In:  NNG_PAIR_ZIG_BIN (folder with cc, c++, ar, ranlib for one target: scripts/zig.mjs makes it),
#      NNG_PAIR_ZIG_TARGET (Zig's name of the target)

set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES NNG_PAIR_ZIG_BIN NNG_PAIR_ZIG_TARGET)

string(REGEX MATCH "^[^-]+" CMAKE_SYSTEM_PROCESSOR "${NNG_PAIR_ZIG_TARGET}")
if(NNG_PAIR_ZIG_TARGET MATCHES "-macos")
  set(CMAKE_SYSTEM_NAME Darwin)
  # CMake insists on these tools, but only an install step would run them.
  set(CMAKE_INSTALL_NAME_TOOL "${CMAKE_COMMAND}" CACHE FILEPATH "")
  set(CMAKE_OSX_SYSROOT "" CACHE PATH "")
elseif(NNG_PAIR_ZIG_TARGET MATCHES "-windows")
  set(CMAKE_SYSTEM_NAME Windows)
  # CMake insists on a compiler for resources, of which there are none.
  set(CMAKE_RC_COMPILER "${CMAKE_COMMAND}" CACHE FILEPATH "")
else()
  set(CMAKE_SYSTEM_NAME Linux)
endif()

# A probe that links makes Zig build its C++ library once more for the probe's own flags; what the
# probes would find out is known.
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
set(CMAKE_INTERPROCEDURAL_OPTIMIZATION OFF)
set(NNG_PAIR_STATIC_CXX OFF CACHE BOOL "Zig always links its own, statically")

set(CMAKE_C_COMPILER "${NNG_PAIR_ZIG_BIN}/cc")
set(CMAKE_CXX_COMPILER "${NNG_PAIR_ZIG_BIN}/c++")
set(CMAKE_AR "${NNG_PAIR_ZIG_BIN}/ar" CACHE FILEPATH "")
set(CMAKE_RANLIB "${NNG_PAIR_ZIG_BIN}/ranlib" CACHE FILEPATH "")
