// Functions of one batch: our own where xsimd's are wrong by more than an ulp or two, lose subnormal numbers
// or the sign of zero, or are slow. Part of impl.hpp. The polynomials are minimax fits (Remez with weights
// that make the error of the function relative); the remaining error stands beside each. All are always
// inlined: a call would pass batches through memory, which takes as long as the work.

/// The layout of a floating-point type.
template <class T>
struct Format;
template <>
struct Format<float> {
  using Bits = std::uint32_t;
  static constexpr int fraction_bits = 23;
  static constexpr int bias = 127;
};
template <>
struct Format<double> {
  using Bits = std::uint64_t;
  static constexpr int fraction_bits = 52;
  static constexpr int bias = 1023;
};
template <class T>
using Bits = xsimd::batch<typename Format<T>::Bits, Arch>;
/// The same bits as a batch of another type. xsimd wants the type of the batch before version 10, that of its
/// elements since.
template <class To, class From>
[[gnu::always_inline]] inline To bits_as(const From& x) {
  if constexpr (XSIMD_VERSION_MAJOR < 10) {
    return xsimd::bitwise_cast<To>(x);
  } else {
    return xsimd::bitwise_cast<typename To::value_type>(x);
  }
}
template <class T>
[[gnu::always_inline]] inline Bits<T> bits_of(const Batch<T>& x) {
  return bits_as<Bits<T>>(x);
}
template <class T>
[[gnu::always_inline]] inline Batch<T> from_bits(const Bits<T>& x) {
  return bits_as<Batch<T>>(x);
}

template <class T>
constexpr T infinity = std::numeric_limits<T>::infinity();
template <class T>
constexpr T not_a_number = std::numeric_limits<T>::quiet_NaN();
template <class T>
constexpr T sign_bit = T(-0.0);
template <class T>
constexpr T smallest_normal = std::numeric_limits<T>::min();
/// -x with the sign of zero, which xsimd's minus loses with AVX-512.
template <class T>
[[gnu::always_inline]] inline Batch<T> negated(const Batch<T>& x) {
  return x ^ Batch<T>(sign_bit<T>);
}
/// Adding this rounds a small number to an integer, which then is in the lowest bits of the sum.
template <class T>
constexpr T rounder = static_cast<T>(3ULL << (Format<T>::fraction_bits - 1));

/// ln 2 in two parts; the first has so few bits that its product with an exponent is exact.
template <class T>
constexpr T ln2_high = sizeof(T) == 4 ? T(0x1.62e4p-1) : T(0x1.62e42fefap-1);
template <class T>
constexpr T ln2_low = sizeof(T) == 4 ? T(0x1.7f7d1cp-20) : T(0x1.cf79abc9e3b3ap-40);
template <class T>
constexpr T log2_e = static_cast<T>(1.4426950408889634);

/// c[0] + c[1] x + c[2] x^2 + ... (No std::array: its functions would be shared with code for other
/// processors.)
template <class T, std::size_t N>
[[gnu::always_inline]] inline Batch<T> polynomial(const Batch<T>& x, const T (&c)[N]) {
  Batch<T> sum(c[N - 1]);
  for (std::size_t k = N - 1; k-- > 0;) sum = mul_add(sum, x, Batch<T>(c[k]));
  return sum;
}

namespace math {

/// A number as the sum of two, the second below the last place of the first.
template <class T>
struct TwoParts {
  Batch<T> high, low;
};
/// x in two parts of half as many digits.
template <class T>
[[gnu::always_inline]] inline TwoParts<T> halves(const Batch<T>& x) {
  using Number = typename Format<T>::Bits;
  const Batch<T> high =
      from_bits<T>(bits_of<T>(x) & Bits<T>(~((Number(1) << (Format<T>::fraction_bits / 2 + 1)) - 1)));
  return {high, x - high};
}
/// x y, nearly or quite to twice the digits.
template <class T>
[[gnu::always_inline]] inline TwoParts<T> exact_product(const Batch<T>& x, const Batch<T>& y) {
  const Batch<T> product = x * y;
  if constexpr (fused_multiply_add) return {product, -sub_product(x, y, product)};
  const auto [x_high, x_low] = halves<T>(x);
  const auto [y_high, y_low] = halves<T>(y);
  const Batch<T> left = ((x_high * y_high - product) + x_high * y_low) + x_low * y_high;
  return {product, left + x_low * y_low};
}

/// z - x * y, rounded once or nearly, whatever the processor has.
template <class T>
[[gnu::always_inline]] inline Batch<T> sub_exactly(const Batch<T>& x, const Batch<T>& y, const Batch<T>& z) {
  if constexpr (fused_multiply_add) return sub_product(x, y, z);
  const auto [product, low] = exact_product<T>(x, y);
  return (z - product) - low;
}
}  // namespace math
