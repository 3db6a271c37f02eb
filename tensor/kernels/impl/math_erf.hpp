// The error function in f32. Part of impl.hpp, after exp.

namespace math {

[[gnu::always_inline]] inline Batch<float> erf(const Batch<float>& x) {
  using B = Batch<float>;
  const B magnitude = xsimd::abs(x);
  // erf(x) / x - 1 in x^2 below 0.93 (0.01 ulp)
  const B a = xsimd::min(B(4), magnitude), s = a * a;
  const B p = polynomial<float>(s, {0x1.06eba8p-3F, -0x1.812742p-2F, 0x1.ce2e08p-4F, -0x1.b80e8cp-6F,
                                    0x1.54c7dep-8F, -0x1.aa3ec6p-11F, 0x1.5cd3f6p-14F});
  // log(erfc(x)) from there to 3.93, where erf is 1 to the nearest number (0.03 ulp of erf)
  const B g = polynomial<float>(a, {-0x1.c181ccp-13F, -0x1.20aa48p+0F, -0x1.464ddcp-1F, -0x1.a93ba6p-4F,
                                    0x1.6b413ep-6F, -0x1.8d0b9cp-9F, 0x1.97e7acp-13F});
  const B small = mul_add(a, p, a), large = B(1) - exp_rough(g);
  return xsimd::copysign(xsimd::select(magnitude < B(0.93F), small, large), x);
}

}  // namespace math
