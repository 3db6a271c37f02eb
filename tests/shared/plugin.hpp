#pragma once

#include "autograd/variable.hpp"

// What tests/shared/program.cpp looks up in the plugin; the caller owns what is returned by pointer, but for
// the parameter.
extern "C" {
gradus::Variable* scaled(const gradus::Variable& x);
gradus::Parameter* scale_parameter();
gradus::Variable* meet_under_own_tape(const gradus::Variable& x);
}
