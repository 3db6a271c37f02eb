// The kernels, written once over an xsimd architecture. Each instruction set's .cpp includes this file in an
// unnamed namespace: nothing in it may be shared with code compiled for another one.

#include "tensor/kernels/impl/batch.hpp"

#include "tensor/kernels/impl/math.hpp"

#include "tensor/kernels/impl/math_circular.hpp"
#include "tensor/kernels/impl/math_exp.hpp"
#include "tensor/kernels/impl/math_log.hpp"
#include "tensor/kernels/impl/math_power.hpp"

#include "tensor/kernels/impl/math_erf.hpp"

#include "tensor/kernels/impl/elementwise.hpp"
#include "tensor/kernels/impl/gemm.hpp"
#include "tensor/kernels/impl/pack.hpp"
#include "tensor/kernels/impl/recurrent.hpp"
#include "tensor/kernels/impl/reduction.hpp"
#include "tensor/kernels/impl/softmax.hpp"

template <class T>
constexpr Table<T> table{.unary = unary<T>,
                         .binary = binary<T>,
                         .ternary = ternary<T>,
                         .product = product<T>,
                         .add_scaled = add_scaled<T>,
                         .fill = fill<T>,
                         .all_finite = all_finite<T>,
                         .sum_squares = sum_squares<T>,
                         .fold = fold<T>,
                         .fold_rows = fold_rows<T>,
                         .softmax = softmax<T>,
                         .softmax_backward = softmax_backward<T>,
                         .softmax_columns = softmax_columns<T>,
                         .softmax_backward_columns = softmax_backward_columns<T>,
                         .log_sum_exp_columns = log_sum_exp_columns<T>,
                         .log_sum_exp = log_sum_exp<T>,
                         .exp_shifted = exp_shifted<T>,
                         .scale = scale<T>,
                         .softmax_scaled = softmax_scaled<T>,
                         .lstm_forward = lstm_forward<T>,
                         .lstm_backward = lstm_backward<T>,
                         .gru_forward = gru_forward<T>,
                         .gru_backward = gru_backward<T>,
                         .rnn_backward = rnn_backward<T>,
                         .dots = dots<T>,
                         .add_rows = add_rows<T>,
                         .tile_rows = tile_rows,
                         .tile_cols = tile_batches* lanes<T>,
                         .tiles = tiles_of<T, tile_batches, Layout::packed>(),
                         .narrow_tiles = tiles_of<T, 1, Layout::packed>(),
                         .tiles_in_place = tiles_of<T, tile_batches, Layout::in_place>(),
                         .narrow_tiles_in_place = tiles_of<T, 1, Layout::in_place>(),
                         .lanes = lanes<T>,
                         .pack = pack<T>};
