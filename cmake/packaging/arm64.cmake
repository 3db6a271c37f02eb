# Builds for 64-bit ARM on another Debian machine; the tests run under qemu. What is needed:
#
#   dpkg --add-architecture arm64 && apt-get update
#   apt-get install g++-aarch64-linux-gnu qemu-user libfmt-dev:arm64 libtbb-dev:arm64 catch2:arm64 zlib1g-dev:arm64 \
#     libzstd-dev:arm64 libpcre2-dev:arm64
#   cmake --preset arm64 && cmake --build --preset arm64 && ctest --preset arm64
#
# beside the packages of scripts/bootstrap that are headers alone (xsimd, xtensor, Eigen, CLI11, toml++, nlohmann-json, Random123).
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64)
set(ENV{PKG_CONFIG_LIBDIR} /usr/lib/aarch64-linux-gnu/pkgconfig:/usr/share/pkgconfig)
# Headers alone, but packaged as if they were for this machine.
foreach(name xsimd xtensor xtl)
  file(GLOB found /usr/lib/*/cmake/${name} /usr/share/cmake/${name})
  if(found)
    list(GET found 0 ${name}_DIR)
  endif()
endforeach()
