#pragma once

#include "tensor/kernels/elementwise.hpp"
#include "tensor/kernels/gemm.hpp"
#include "tensor/kernels/instruction_set.hpp"
#include "tensor/kernels/recurrent.hpp"
#include "tensor/kernels/reduction.hpp"
#include "tensor/kernels/softmax.hpp"
