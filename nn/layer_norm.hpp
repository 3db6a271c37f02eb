#pragma once

#include "nn/norm.hpp"  // where LayerNorm stands beside the other normalisations
