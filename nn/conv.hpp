#pragma once

#include <cstdint>

#include "autograd/module_path.hpp"
#include "autograd/ops/conv.hpp"
#include "tensor/random.hpp"

/// Convolutions as layers (tensor/ops/conv.hpp has the formulas), with PyTorch's names, layouts and initial
/// values: weight and bias are uniform within 1 / sqrt(fan-in) of 0. They throw ArgumentError for channels
/// and kernels below 1 and for groups that do not divide the channels; what the ops throw, they throw when
/// called.
namespace gradus::nn {

struct Conv1dOptions {
  std::int64_t stride = 1, padding = 0, dilation = 1, groups = 1;
  bool bias = true;
  bool causal = false;  // pads on the left only, by itself
};
/// (batch, in, length) to (batch, out, steps).
struct Conv1d {
  Parameter weight, bias;  // (out, in / groups, kernel), (out)
  Conv1dOptions options;

  Conv1d(Rng& rng, std::int64_t in, std::int64_t out, std::int64_t kernel, Conv1dOptions chosen = {});

  Variable operator()(const Variable& x, Where where = Where::here()) const;
  static void members(auto& self, auto&& visit) {
    visit("weight", self.weight);
    visit("bias", self.bias);
  }
};

struct Conv2dOptions {
  HeightWidth stride = 1, padding = 0, dilation = 1;
  std::int64_t groups = 1;
  bool bias = true;
};
/// (batch, in, height, width) to (batch, out, height, width).
struct Conv2d {
  Parameter weight, bias;  // (out, in / groups, kernel's height, kernel's width), (out)
  Conv2dOptions options;

  Conv2d(Rng& rng, std::int64_t in, std::int64_t out, HeightWidth kernel, Conv2dOptions chosen = {});

  Variable operator()(const Variable& x, Where where = Where::here()) const;
  static void members(auto& self, auto&& visit) {
    visit("weight", self.weight);
    visit("bias", self.bias);
  }
};

struct ConvTranspose1dOptions {
  std::int64_t stride = 1, padding = 0, output_padding = 0, dilation = 1, groups = 1;
  bool bias = true;
};
/// (batch, in, length) to (batch, out, a length about stride times as long).
struct ConvTranspose1d {
  Parameter weight, bias;  // (in, out / groups, kernel), (out)
  ConvTranspose1dOptions options;

  ConvTranspose1d(Rng& rng, std::int64_t in, std::int64_t out, std::int64_t kernel,
                  ConvTranspose1dOptions chosen = {});

  Variable operator()(const Variable& x, Where where = Where::here()) const;
  static void members(auto& self, auto&& visit) {
    visit("weight", self.weight);
    visit("bias", self.bias);
  }
};

struct ConvTranspose2dOptions {
  HeightWidth stride = 1, padding = 0, output_padding = 0, dilation = 1;
  std::int64_t groups = 1;
  bool bias = true;
};
/// (batch, in, height, width) to (batch, out, height, width).
struct ConvTranspose2d {
  Parameter weight, bias;  // (in, out / groups, kernel's height, kernel's width), (out)
  ConvTranspose2dOptions options;

  ConvTranspose2d(Rng& rng, std::int64_t in, std::int64_t out, HeightWidth kernel,
                  ConvTranspose2dOptions chosen = {});

  Variable operator()(const Variable& x, Where where = Where::here()) const;
  static void members(auto& self, auto&& visit) {
    visit("weight", self.weight);
    visit("bias", self.bias);
  }
};

}  // namespace gradus::nn
