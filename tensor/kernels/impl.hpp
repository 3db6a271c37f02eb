// The kernels, written once over an xsimd architecture. Each instruction set's .cpp includes this file in an
// unnamed namespace: nothing in it may be shared with code compiled for another one.

#include "tensor/kernels/impl/batch.hpp"

#include "tensor/kernels/impl/math.hpp"

#include "tensor/kernels/impl/math_exp.hpp"
#include "tensor/kernels/impl/math_log.hpp"
#include "tensor/kernels/impl/math_plane.hpp"
#include "tensor/kernels/impl/math_wide.hpp"

#include "tensor/kernels/impl/math_circular.hpp"
#include "tensor/kernels/impl/math_erf.hpp"
#include "tensor/kernels/impl/math_gamma.hpp"
#include "tensor/kernels/impl/math_normal.hpp"
#include "tensor/kernels/impl/math_power.hpp"

#include "tensor/kernels/impl/elementwise.hpp"
#include "tensor/kernels/impl/pack.hpp"

#include "tensor/kernels/impl/dots.hpp"
#include "tensor/kernels/impl/tile.hpp"

#include "tensor/kernels/impl/gemm.hpp"

#include "tensor/kernels/impl/conv.hpp"
#include "tensor/kernels/impl/recurrent.hpp"
#include "tensor/kernels/impl/recurrent_twice.hpp"
#include "tensor/kernels/impl/reduction.hpp"

#include "tensor/kernels/impl/norm.hpp"
#include "tensor/kernels/impl/random.hpp"

#include "tensor/kernels/impl/softmax.hpp"

#include "tensor/kernels/impl/attention.hpp"
