#pragma once

#include "autograd/variable.hpp"
#include "tensor/ops/pool.hpp"

/// Pooling, as documented in tensor/ops/pool.hpp; differentiable to any order. Where several elements of a
/// window are the largest, the gradient goes to the first, as in PyTorch.
namespace gradus {

Variable max_pool1d(const Variable& x, MaxPool1dOptions options = {}, Where where = Where::here());
Variable max_pool2d(const Variable& x, MaxPool2dOptions options = {}, Where where = Where::here());
Variable avg_pool1d(const Variable& x, AvgPool1dOptions options = {}, Where where = Where::here());
Variable avg_pool2d(const Variable& x, AvgPool2dOptions options = {}, Where where = Where::here());
Variable adaptive_avg_pool1d(const Variable& x, std::int64_t length, Where where = Where::here());
Variable adaptive_avg_pool2d(const Variable& x, HeightWidth lengths, Where where = Where::here());
Variable adaptive_max_pool1d(const Variable& x, std::int64_t length, Where where = Where::here());
Variable adaptive_max_pool2d(const Variable& x, HeightWidth lengths, Where where = Where::here());

}  // namespace gradus
