"""Conan 2's recipe, of this checkout, after that of Random123:

  conan create cmake/packaging/conan/random123
  conan create cmake/packaging/conan/gradus --build=missing
"""
import os

from conan import ConanFile
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain, cmake_layout
from conan.tools.files import copy
from conan.tools.gnu import PkgConfigDeps


class Gradus(ConanFile):
    name = "gradus"
    version = "0.1.0"
    license = "MIT"
    description = "Automatic differentiation and language models in C++20 for the CPU"
    settings = "os", "arch", "compiler", "build_type"
    options = {"shared": [True, False], "program": [True, False]}
    default_options = {"shared": False, "program": True}

    def export_sources(self):
        root = os.path.join(self.recipe_folder, "..", "..", "..", "..")
        for folder in ["tensor", "autograd", "nn", "optim", "text", "models", "distributed", "cli", "cmake"]:
            copy(self, f"{folder}/*", root, self.export_sources_folder)
        for name in ["CMakeLists.txt", "LICENSE"]:
            copy(self, name, root, self.export_sources_folder)

    def requirements(self):
        # The headers use fmt's names; the rest is inside.
        self.requires("fmt/[>=9 <12]", transitive_headers=True, transitive_libs=True)
        for name in ["onetbb/[>=2021.7 <2023]", "zlib/[>=1.2.11 <2]", "zstd/[>=1.5 <2]",
                     "pcre2/[>=10.40 <11]"]:
            self.requires(name)
        for name in ["xsimd/[>=9 <14]", "xtensor/[>=0.24 <0.26]", "eigen/[>=3.4 <4]", "nlohmann_json/[>=3.11 <4]", "tomlplusplus/[>=3.3 <4]",
                     "random123/1.14.0"]:
            self.requires(name, visible=False)
        if self.options.program:
            self.requires("cli11/[>=2.3 <3]", visible=False)

    def layout(self):
        cmake_layout(self)

    def generate(self):
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables["GRADUS_TESTS"] = False
        toolchain.cache_variables["GRADUS_CLI"] = bool(self.options.program)
        # Its headers come from Conan, and no target of CMake's for them is asked for.
        random123 = self.dependencies["random123"].cpp_info.includedirs[0]
        toolchain.cache_variables["CMAKE_CXX_STANDARD_INCLUDE_DIRECTORIES"] = random123
        toolchain.generate()
        CMakeDeps(self).generate()
        PkgConfigDeps(self).generate()  # by which zstd is found

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        CMake(self).install()

    def package_info(self):
        # Gradus's own file, which knows its targets.
        self.cpp_info.set_property("cmake_find_mode", "none")
        self.cpp_info.builddirs = [os.path.join("lib", "cmake", "gradus")]
