// The elementwise functions, one row each. A file that includes this one defines GRADUS_UNARY, GRADUS_BINARY
// or GRADUS_TERNARY before, and makes of each row what it needs: an enumerator, a cost, a derivative.
//
// A row has the function's name, the work of one element (kernels::cost), and for each operand what its
// derivative reads, followed by g times that derivative, where g is the gradient of the result. In these
// formulas x is the only operand, or a, b and c are the operands, and y is the result; they are written once
// for numbers, tensors on a tape and symbols (autograd/elementwise/derivatives.hpp). The derivative of a
// `flat` function is zero wherever there is one, and its formula is not used.
//
// The kernels are in impl/elementwise.hpp (SIMD) or scalar.cpp (loops over the standard library), the
// functions that users call in tensor/ops/elementwise.hpp, the tests in tests/support/function_rows.hpp.

#ifndef GRADUS_UNARY
#define GRADUS_UNARY(...)
#endif
#ifndef GRADUS_BINARY
#define GRADUS_BINARY(...)
#endif
#ifndef GRADUS_TERNARY
#define GRADUS_TERNARY(...)
#endif

// clang-format off

//           name        cost            reads    g times the derivative
GRADUS_UNARY(neg,        cheap,          nothing, -g)
GRADUS_UNARY(abs,        cheap,          x,       g * sign(x))
GRADUS_UNARY(sign,       cheap,          flat,    g)
GRADUS_UNARY(square,     cheap,          x,       g * (2 * x))
GRADUS_UNARY(cube,       cheap,          x,       g * (3 * square(x)))
GRADUS_UNARY(sqrt,       cheap,          y,       g / (2 * y))
GRADUS_UNARY(rsqrt,      cheap,          y,       g * (-0.5 * cube(y)))
GRADUS_UNARY(reciprocal, cheap,          y,       g * -square(y))
GRADUS_UNARY(exp,        transcendental, y,       g * y)
GRADUS_UNARY(exp2,       transcendental, y,       g * (y * ln2))
GRADUS_UNARY(expm1,      transcendental, x,       g * exp(x))
GRADUS_UNARY(log,        transcendental, x,       g / x)
GRADUS_UNARY(log1p,      transcendental, x,       g / (x + 1))
GRADUS_UNARY(log2,       transcendental, x,       g * 1.44269504088896340736 / x)
GRADUS_UNARY(log10,      transcendental, x,       g * 0.434294481903251827651 / x)
GRADUS_UNARY(sin,        transcendental, x,       g * cos(x))
GRADUS_UNARY(cos,        transcendental, x,       g * -sin(x))
GRADUS_UNARY(tan,        transcendental, y,       g * (1 + square(y)))
GRADUS_UNARY(asin,       transcendental, x,       g * rsqrt(one_minus_square(x)))
GRADUS_UNARY(acos,       transcendental, x,       g * -rsqrt(one_minus_square(x)))
GRADUS_UNARY(atan,       transcendental, x,       g * atan_slope(x))
GRADUS_UNARY(sinh,       transcendental, x,       g * cosh(x))
GRADUS_UNARY(cosh,       transcendental, x,       g * sinh(x))
GRADUS_UNARY(tanh,       transcendental, x,       g * tanh_slope(x))
GRADUS_UNARY(tanh_slope, transcendental, x,       g * (-2 * (tanh(x) * tanh_slope(x))))
GRADUS_UNARY(asinh,      transcendental, x,       g * asinh_slope(x))
GRADUS_UNARY(acosh,      transcendental, x,       g * acosh_slope(x))
GRADUS_UNARY(atanh,      transcendental, x,       g / one_minus_square(x))
GRADUS_UNARY(erf,        transcendental, x,       g * (two_over_sqrt_pi * square(gaussian(x))))
GRADUS_UNARY(erfc,       transcendental, x,       g * (-two_over_sqrt_pi * square(gaussian(x))))
GRADUS_UNARY(erfinv,     2 * library_call, x,     g * erfinv_slope(x))
GRADUS_UNARY(erfinv_slope, 3 * library_call, x,   g * (2 * erfinv(x) * square(erfinv_slope(x))))
GRADUS_UNARY(gaussian,   transcendental, x,       g * (-x * gaussian(x)))  // exp(-x^2 / 2)
GRADUS_UNARY(normal_cdf, 2 * transcendental, x,   g * (0.398942280401432677940 * gaussian(x)))
GRADUS_UNARY(lgamma,     library_call,   x,       g * derivative_of_order(Binary::polygamma, 0, x))
GRADUS_UNARY(sigmoid,    transcendental, x,       g * sigmoid_slope(x))
GRADUS_UNARY(sigmoid_slope, transcendental, x,    g * (-sigmoid_slope(x) * tanh(0.5 * x)))
GRADUS_UNARY(log1p_exp,  2 * transcendental, x,   g * sigmoid(x))  // log(1 + exp(x))
// sigmoid(u) with u = 2 sqrt(2/pi) (x + 0.044715 x^3), the gate of gelu's tanh form, and its derivative.
GRADUS_UNARY(gelu_gate,  2 * transcendental, x,   g * gelu_gate_slope(x))
GRADUS_UNARY(gelu_gate_slope, 2 * transcendental, x, g * (gelu_gate_slope(x) * gelu_log_slope(x)))
// tanh(log(1 + exp(x))), the gate of mish, and its derivative.
GRADUS_UNARY(mish_gate,  2 * transcendental, x,   g * mish_gate_slope(x))
GRADUS_UNARY(mish_gate_slope, 2 * transcendental, x, g * (mish_gate_slope(x) * (sigmoid(-x) - 2 * (mish_gate(x) * sigmoid(x)))))
GRADUS_UNARY(logit,      2 * transcendental, x,   g * logit_slope(x))  // log(x / (1 - x))
GRADUS_UNARY(logit_slope, cheap,         x,       g * (square(logit_slope(x)) * (2 * x - 1)))  // 1 / (x (1 - x))
GRADUS_UNARY(relu,       cheap,          x,       zero_where(x <= 0, g))  // NaN passes g on, as in PyTorch
GRADUS_UNARY(floor,      cheap,          flat,    g)
GRADUS_UNARY(ceil,       cheap,          flat,    g)
GRADUS_UNARY(round,      cheap,          flat,    g)
GRADUS_UNARY(trunc,      cheap,          flat,    g)

//            name           cost             reads    g times the derivative with respect to a, and to b
GRADUS_BINARY(add,           cheap,           nothing, g,
                                              nothing, g)
GRADUS_BINARY(sub,           cheap,           nothing, g,
                                              nothing, -g)
GRADUS_BINARY(mul,           cheap,           b,       g * b,
                                              a,       g * a)
GRADUS_BINARY(div,           cheap,           b,       g / b,
                                              by,      g * -(y / b))
GRADUS_BINARY(maximum,       cheap,           ab,      zero_where(a < b, g * (1 - 0.5 * equal(a, b))),
                                              ab,      zero_where(b < a, g * (1 - 0.5 * equal(a, b))))
GRADUS_BINARY(minimum,       cheap,           ab,      zero_where(b < a, g * (1 - 0.5 * equal(a, b))),
                                              ab,      zero_where(a < b, g * (1 - 0.5 * equal(a, b))))
GRADUS_BINARY(pow,           library_call,    ab,      zero_where(equal(b, 0), g * (b * pow_one_less(a, b))),
                                              // 0^b is 0 for every b > 0
                                              aby,     zero_where(both(equal(a, 0), 0 <= b), g * (y * log(a))))
GRADUS_BINARY(atan2,         library_call,    ab,      g * (b / hypot(a, b) / hypot(a, b)),
                                              ab,      g * (-a / hypot(a, b) / hypot(a, b)))
GRADUS_BINARY(fmod,          library_call,    nothing, g,
                                              aby,     g * round((y - a) / b))
GRADUS_BINARY(hypot,         library_call,    aby,     zero_where(equal(y, 0), g * cosine(a, b, y)),
                                              aby,     zero_where(equal(y, 0), g * cosine(b, a, y)))
// Of two infinities of one sign, whose difference is NaN, the gradient is halved, as it is of two equal numbers.
GRADUS_BINARY(logaddexp,     2 * transcendental,
                                              ab,      g * sigmoid_of_difference(a, b),
                                              ab,      g * sigmoid_of_difference(b, a))
// a for a > 0, else a b; and with expm1(a) b, the gradient at 0 being that from below.
GRADUS_BINARY(leaky_relu,    cheap,           ab,      g * where(0 < a, 1.0, b),
                                              a,       zero_where(0 < a, g * a))
GRADUS_BINARY(elu,           transcendental,  ab,      g * where(a <= 0, b * exp(where(a <= 0, a, 0.0)), 1.0),
                                              a,       zero_where(0 < a, g * expm1(where(a <= 0, a, 0.0))))
// a log b, and 0 where a is 0, whatever b is.
GRADUS_BINARY(xlogy,         transcendental,  ab,      zero_where(both(equal(a, 0), b <= 0), g * log(b)),
                                              ab,      zero_where(both(equal(a, 0), equal(b, 0)), g * (a / b)))
GRADUS_BINARY(less,          cheap,           flat,    g,
                                              flat,    g)
GRADUS_BINARY(less_equal,    cheap,           flat,    g,
                                              flat,    g)
GRADUS_BINARY(greater,       cheap,           flat,    g,
                                              flat,    g)
GRADUS_BINARY(greater_equal, cheap,           flat,    g,
                                              flat,    g)
GRADUS_BINARY(equal,         cheap,           flat,    g,
                                              flat,    g)
GRADUS_BINARY(not_equal,     cheap,           flat,    g,
                                              flat,    g)
// The a-th derivative of digamma at b; a is a whole number.
GRADUS_BINARY(polygamma,     8 * library_call,
                                              flat,    g,
                                              ab,      g * derivative_of_order(Binary::polygamma, a + 1, b))
// The a-th derivative of sin(pi b) / (pi b).
GRADUS_BINARY(sinc,          2 * library_call,
                                              flat,    g,
                                              ab,      g * derivative_of_order(Binary::sinc, a + 1, b))

//             name   cost   reads    g times the derivative with respect to a, to b and to c
GRADUS_TERNARY(fma,   cheap, b,       g * b,
                             a,       g * a,
                             nothing, g)
// b where a is not 0, elsewhere c. What is not chosen has no influence.
GRADUS_TERNARY(where, cheap, flat,    g,
                             a,       zero_unless(a, g),
                             a,       zero_where(a, g))
// minimum(maximum(a, b), c); at the bounds the gradient goes to a. Where one of the three is NaN, as the result
// then is, so is the gradient.
GRADUS_TERNARY(clamp, cheap, abc,     zero_unless(within(a, b, c), g * within(a, b, c)),
                             abc,     zero_unless(a < b, zero_where(c < b, g * one_unless_nan(a, b, c))),
                             abc,     zero_unless(c < maximum(a, b), g))
// The same with a gradient of 0 at the bounds and beyond, and none for them.
GRADUS_TERNARY(clamp_flat, cheap, abc, zero_unless(inside(a, b, c), g * inside(a, b, c)),
                             flat,    g,
                             flat,    g)
// 1 where b <= a <= c, or b < a < c, else 0; NaN where one of the three is.
GRADUS_TERNARY(within, cheap, flat,   g,
                             flat,    g,
                             flat,    g)
GRADUS_TERNARY(inside, cheap, flat,   g,
                             flat,    g,
                             flat,    g)

// clang-format on

#undef GRADUS_UNARY
#undef GRADUS_BINARY
#undef GRADUS_TERNARY
