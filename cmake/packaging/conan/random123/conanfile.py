"""The headers of Random123, which ConanCenter does not have: conan create cmake/packaging/conan/random123"""
import os

from conan import ConanFile
from conan.tools.files import copy
from conan.tools.scm import Git


class Random123(ConanFile):
    name = "random123"
    version = "1.14.0"
    license = "BSD-3-Clause"
    description = "Counter-based random numbers (Salmon et al. 2011)"
    package_type = "header-library"
    no_copy_source = True

    def source(self):
        Git(self).clone("https://github.com/DEShawResearch/random123.git", target=".",
                        args=["--branch", f"v{self.version}", "--depth", "1"])

    def package(self):
        copy(self, "Random123/*", os.path.join(self.source_folder, "include"),
             os.path.join(self.package_folder, "include"))
        copy(self, "LICENSE", self.source_folder, os.path.join(self.package_folder, "licenses"))

    def package_info(self):
        self.cpp_info.bindirs = []
        self.cpp_info.libdirs = []
