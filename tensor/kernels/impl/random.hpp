// Random numbers. Part of impl.hpp.

using Words = xsimd::batch<std::uint64_t, Arch>;
constexpr std::int64_t word_lanes = static_cast<std::int64_t>(Words::size);

/// The products of the lower halves.
[[gnu::always_inline]] inline Words product_of_halves(const Words& a, const Words& b) {
#if defined(__AVX512F__)
  return _mm512_mul_epu32(a, b);
#elif defined(__AVX2__)
  return _mm256_mul_epu32(a, b);
#elif defined(__SSE2__)
  return _mm_mul_epu32(a, b);
#elif defined(__aarch64__)
  return vmull_u32(vmovn_u64(a), vmovn_u64(b));
#else
  alignas(64) std::uint64_t x[word_lanes], y[word_lanes];
  a.store_aligned(x);
  b.store_aligned(y);
  for (std::int64_t lane = 0; lane < word_lanes; ++lane)
    x[lane] = (x[lane] & 0xFFFFFFFFu) * (y[lane] & 0xFFFFFFFFu);
  return Words::load_aligned(x);
#endif
}

template <class Rest>
struct WithRandom : Rest {
  void philox(std::uint64_t seed, std::uint64_t stream, std::uint64_t place, std::int64_t n,
              std::uint64_t* first, std::uint64_t* second) const override {
    constexpr std::uint64_t half = 0xFFFFFFFFu;
    alignas(64) std::uint64_t at[word_lanes];
    const Words lower(half), factor_0(std::uint64_t{0xD2511F53u}), factor_1(std::uint64_t{0xCD9E8D57u});
    for (std::int64_t i = 0; i < n; i += word_lanes) {
      for (std::int64_t lane = 0; lane < word_lanes; ++lane)
        at[lane] = place + static_cast<std::uint64_t>(i + lane);
      // The four 32-bit words of the counter. What stands in the upper halves has no influence.
      Words c0 = Words::load_aligned(at), c1 = c0 >> 32, c2(stream), c3(stream >> 32);
      std::uint64_t key_0 = seed & half, key_1 = seed >> 32;
#pragma GCC unroll 10
      for (int round = 0; round < 10; ++round) {
        const Words p0 = product_of_halves(c0, factor_0), p1 = product_of_halves(c2, factor_1);
        c0 = (p1 >> 32) ^ c1 ^ Words(key_0);
        c2 = (p0 >> 32) ^ c3 ^ Words(key_1);
        c1 = p1;
        c3 = p0;
        key_0 = (key_0 + 0x9E3779B9u) & half;
        key_1 = (key_1 + 0xBB67AE85u) & half;
      }
      const std::int64_t left = n - i < word_lanes ? n - i : word_lanes;
      const auto store = [&](const Words& low, const Words& high, std::uint64_t* to) {
        const Words words = (low & lower) | (high << 32);
        if (left == word_lanes) return words.store_unaligned(to + i);
        words.store_aligned(at);
        for (std::int64_t lane = 0; lane < left; ++lane) to[i + lane] = at[lane];
      };
      store(c0, c1, first);
      if (second != nullptr) store(c2, c3, second);
    }
  }
};
