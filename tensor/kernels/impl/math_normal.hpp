// The normal distribution function. Part of impl.hpp, after the error functions.

namespace math {

/// The normal distribution function, erfc(-x / sqrt(2)) / 2.
template <class T>
[[gnu::always_inline]] inline Batch<T> normal_cdf_of_any(const Batch<T>& x) {
  constexpr T sqrt_half = T(0.70710678118654752440);
  const Batch<T> a = bounded_size<T>(x, sizeof(T) == 4 ? T(14.5) : T(38.7)), half(T(0.5));
  const auto [high, low] = exact_product<T>(a, a);
  const Batch<T> y = exp_times<T>(-half * high, -half * low, half * scaled_erfc<T>(a * Batch<T>(sqrt_half)));
  return xsimd::select(x > Batch<T>(0), Batch<T>(1) - y, y);
}
[[gnu::always_inline]] inline Batch<double> normal_cdf(const Batch<double>& x) {
  return normal_cdf_of_any<double>(x);
}
/// normal_cdf(-a) for 0 <= a <= most_normal; above, normal_cdf(a) is 1 to the nearest number.
constexpr float most_normal = 5.6F;
#if defined(__AVX512F__)
/// The coefficients of polynomials in the distance of a from 0, 3/8, ..., 45/8, each for the interval around
/// that, to 2^-24.
alignas(64) constexpr float normal_table[9][16] = {
    {0x1p-1F, 0x1.6a527ap-2F, 0x1.d022p-3F, 0x1.0ad7dap-3F, 0x1.11a46ep-4F, 0x1.f20394p-6F, 0x1.90925p-7F,
     0x1.1bee6cp-8F, 0x1.61de2p-10F, 0x1.8301bep-12F, 0x1.72d956p-14F, 0x1.36feaep-16F, 0x1.c80728p-19F,
     0x1.24149ap-21F, 0x1.46a16cp-24F, 0x1.3eb346p-27F},
    {-0x1.988454p-2F, -0x1.7cc78ep-2F, -0x1.345d6p-2F, -0x1.b1ec62p-3F, -0x1.094082p-3F, -0x1.19bfa8p-4F,
     -0x1.0402dcp-5F, -0x1.a0f22cp-7F, -0x1.227212p-8F, -0x1.5f90f8p-10F, -0x1.71b932p-12F, -0x1.51cfaep-14F,
     -0x1.0c29aap-16F, -0x1.71e574p-19F, -0x1.bb4a98p-22F, -0x1.cd8e8ep-25F},
    {-0x1.637dc4p-38F, 0x1.1d878ep-4F, 0x1.ce8e7ep-4F, 0x1.e82a6p-4F, 0x1.8ddf16p-4F, 0x1.082484p-4F,
     0x1.24826cp-5F, 0x1.119ef4p-6F, 0x1.b3aabap-8F, 0x1.28a27p-9F, 0x1.5a9dc2p-11F, 0x1.5c5e9p-13F,
     0x1.2daf16p-15F, 0x1.c2cf94p-18F, 0x1.22e92ap-20F, 0x1.4487fcp-23F},
    {0x1.105836p-4F, 0x1.b41b9cp-5F, 0x1.67d93p-6F, -0x1.335284p-7F, -0x1.ba2dep-6F, -0x1.d87606p-6F,
     -0x1.60210cp-6F, -0x1.99581ap-7F, -0x1.83453cp-8F, -0x1.30699ep-9F, -0x1.92746p-11F, -0x1.c2d6fcp-13F,
     -0x1.ae2b22p-15F, -0x1.5edfcap-17F, -0x1.ea9c94p-20F, -0x1.26a4cap-22F},
    {0x1.7c41a2p-30F, -0x1.e187d6p-7F, -0x1.7d4402p-6F, -0x1.1b3598p-6F, -0x1.7e970ap-8F, 0x1.5baecep-9F,
     0x1.95ef08p-8F, 0x1.62c8dp-8F, 0x1.b420e6p-9F, 0x1.9eacbep-10F, 0x1.3f7222p-11F, 0x1.969f4p-13F,
     0x1.b18566p-15F, 0x1.86160ap-17F, 0x1.29a64p-19F, 0x1.8363dcp-22F},
    {-0x1.46ce1cp-7F, -0x1.5df65ap-8F, -0x1.585664p-13F, 0x1.55a306p-8F, 0x1.95b442p-8F, 0x1.95bf6cp-9F,
     0x1.2a1a2p-11F, -0x1.fd1758p-11F, -0x1.203bd6p-10F, -0x1.7a2ed6p-11F, -0x1.671dc6p-12F, -0x1.0cea5cp-13F,
     -0x1.464df6p-15F, -0x1.478536p-17F, -0x1.1418acp-19F, -0x1.86d638p-22F},
    {-0x1.8742aep-24F, -0x1.5afa28p-4F, 0x1.2ab17ep-6F, 0x1.0af8p-8F, -0x1.74f40ep-7F, 0x1.0a82c2p-8F,
     -0x1.dc1b94p-9F, -0x1.0618ap-12F, -0x1.c6ca2ep-15F, 0x1.cf3d72p-13F, 0x1.271b3ep-13F, 0x1.1d3e7ap-14F,
     0x1.837dp-16F, 0x1.a99026p-18F, 0x1.9b1768p-20F, 0x1.35db4ep-22F},
    {0x1.34c954p-10F, -0x1.6ab288p-6F, 0x1.355dd4p-8F, 0x1.39f14ap-12F, -0x1.7bc90ep-8F, 0x1.966226p-9F,
     -0x1.83ea7ap-10F, 0x1.13097p-12F, -0x1.c0b2d4p-15F, 0x1.310d52p-16F, -0x1.68a3c4p-16F, -0x1.e71a74p-17F,
     -0x1.226ccp-17F, -0x1.c564dp-19F, -0x1.cadd3p-21F, -0x1.b8465ap-23F},
    {0x1.bfbc48p-20F, 0x1.3e0432p+0F, -0x1.bc52e4p-3F, -0x1.441ee6p-5F, 0x1.3aed74p-3F, -0x1.40ddbp-4F,
     0x1.3836e2p-5F, -0x1.8386cp-11F, 0x1.34ee0ap-9F, -0x1.b0c1eep-12F, -0x1.fe136cp-14F, -0x1.62e29cp-14F,
     -0x1.4916ap-17F, 0x1.0931a2p-19F, -0x1.4288bep-26F, 0x1.8cae78p-23F}};
[[gnu::always_inline]] inline Batch<float> normal_below(const Batch<float>& a) {
  const __m512 x = a, shift = _mm512_set1_ps(rounder<float>);
  const __m512 shifted = _mm512_fmadd_ps(x, _mm512_set1_ps(8.0F / 3), shift);
  const __m512i interval = _mm512_castps_si512(shifted);  // in the lowest bits
  const __m512 t = _mm512_fnmadd_ps(_mm512_sub_ps(shifted, shift), _mm512_set1_ps(0.375F), x);
  __m512 y = _mm512_permutexvar_ps(interval, _mm512_load_ps(normal_table[8]));
#pragma GCC unroll 8
  for (int k = 7; k >= 0; --k)
    y = _mm512_fmadd_ps(y, t, _mm512_permutexvar_ps(interval, _mm512_load_ps(normal_table[k])));
  return y;
}
#else
/// e^(-a^2 / 2 + a q(a)) / 2, without a division; the exponent is taken in parts, as in gaussian.
[[gnu::always_inline]] inline Batch<float> normal_below(const Batch<float>& a) {
  using B = Batch<float>;
  const B q = polynomial<float>(
      a - B(2.75F), {-0x1.f387f8p-2F, 0x1.151cep-4F, -0x1.4f25cap-7F, 0x1.889714p-10F, -0x1.a55c0ap-13F,
                     0x1.81c7ep-16F, -0x1.efa8dap-20F, -0x1.3206c2p-26F, 0x1.b2b596p-25F, -0x1.ee6054p-27F,
                     0x1.4d4e58p-29F, -0x1.9a345p-33F});  // a q to 2^-24
  const auto [square, square_low] = exact_product<float>(a, a);
  const B high = B(-0.5F) * square, n = nearest<float>(mul_add(a, q, high) * B(log2_e<float>));
  const B low = mul_add(B(-0.5F), square_low, n * B(-ln2_low<float>));
  const B r = mul_add(a, q, sub_product(n, B(ln2_high<float>), high)) + low;
  const B e = B(1) + expm1_reduced<float>(r);
  return e * power_of_two<float>(whole_bits<float>(n, Format<float>::bias - 1));
}
#endif
[[gnu::always_inline]] inline Batch<float> normal_cdf(const Batch<float>& x) {
  using B = Batch<float>;
  // NaN, as the second operand, passes the bounds.
  const B y = normal_below(xsimd::min(B(most_normal), xsimd::max(B(1e-10F), xsimd::abs(x))));
  const B near = xsimd::select(x > B(0), B(1) - y, y);
  const auto far = x < B(-most_normal);
  if (!xsimd::any(far)) return near;
  const B least(-14.5F);
  const B beyond = xsimd::any(far & (x > least)) ? normal_cdf_of_any<float>(x) : B(0);
  return xsimd::select(far, xsimd::select(x > least, beyond, B(0)), near);
}

}  // namespace math
