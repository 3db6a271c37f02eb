#pragma once

/// Ops on tensors, without gradients (those on Variables are in autograd/ops).
#include "tensor/ops/conv.hpp"
#include "tensor/ops/creation.hpp"
#include "tensor/ops/cumulative.hpp"
#include "tensor/ops/einsum.hpp"
#include "tensor/ops/elementwise.hpp"
#include "tensor/ops/indexing.hpp"
#include "tensor/ops/linalg.hpp"
#include "tensor/ops/matmul.hpp"
#include "tensor/ops/movement.hpp"
#include "tensor/ops/pool.hpp"
#include "tensor/ops/reduction.hpp"
#include "tensor/ops/softmax.hpp"
#include "tensor/ops/sorting.hpp"
