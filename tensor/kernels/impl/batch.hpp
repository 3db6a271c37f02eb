// Loads, stores and loops over batches, the registers of elements. Part of impl.hpp.

template <class T>
using Batch = xsimd::batch<T, Arch>;
template <class T>
constexpr std::int64_t lanes = static_cast<std::int64_t>(Batch<T>::size);

/// True when mul_add rounds once.
#if defined(__FMA__) || defined(__aarch64__)
constexpr bool fused_multiply_add = true;
#else
constexpr bool fused_multiply_add = false;
#endif

/// x * y + z, rounded once where the processor has an instruction for it. xsimd 8.1 does not use those of
/// AVX-512, nor ARM's for fnma; the compiler may not contract a product and a sum either (flags.cmake).
template <class T>
[[gnu::always_inline]] inline Batch<T> mul_add(const Batch<T>& x, const Batch<T>& y, const Batch<T>& z) {
#if defined(__AVX512F__)
  if constexpr (sizeof(Batch<T>) == 64 && sizeof(T) == 4) return _mm512_fmadd_ps(x, y, z);
  if constexpr (sizeof(Batch<T>) == 64 && sizeof(T) == 8) return _mm512_fmadd_pd(x, y, z);
#endif
  return xsimd::fma(x, y, z);
}
/// z - x * y, likewise.
template <class T>
[[gnu::always_inline]] inline Batch<T> sub_product(const Batch<T>& x, const Batch<T>& y, const Batch<T>& z) {
#if defined(__AVX512F__)
  if constexpr (sizeof(Batch<T>) == 64 && sizeof(T) == 4) return _mm512_fnmadd_ps(x, y, z);
  if constexpr (sizeof(Batch<T>) == 64 && sizeof(T) == 8) return _mm512_fnmadd_pd(x, y, z);
#endif
#if defined(__aarch64__)
  return mul_add(-x, y, z);
#else
  return xsimd::fnma(x, y, z);
#endif
}

#if defined(__AVX512F__)
inline __mmask16 first_lanes(std::int64_t n) {
  return static_cast<__mmask16>((1u << n) - 1);
}
#elif defined(__AVX2__)
template <class T>
__m256i first_lanes(std::int64_t n) {
  if constexpr (sizeof(T) == 4)
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)),
                              _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
}
#endif

/// A batch of n elements, 0 <= n <= lanes<T>, and zeros after them. By masked loads where the processor has
/// them: a batch loaded from a buffer would wait until all single elements are stored there.
template <class T>
Batch<T> load_part(const T* x, std::int64_t n) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) return _mm512_maskz_loadu_ps(first_lanes(n), x);
  if constexpr (sizeof(T) == 8) return _mm512_maskz_loadu_pd(static_cast<__mmask8>(first_lanes(n)), x);
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 4) return _mm256_maskload_ps(x, first_lanes<T>(n));
  if constexpr (sizeof(T) == 8) return _mm256_maskload_pd(x, first_lanes<T>(n));
#else
  alignas(64) T buffer[lanes<T>] = {};
  for (std::int64_t i = 0; i < n; ++i) buffer[i] = x[i];
  return Batch<T>::load_aligned(buffer);
#endif
}
/// The same with the first element after them, where functions are to meet no number that was not given: that
/// of 0 may raise a floating-point exception, which users may trap.
template <class T>
Batch<T> load_repeated(const T* x, std::int64_t n) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) return _mm512_mask_loadu_ps(_mm512_set1_ps(*x), first_lanes(n), x);
  if constexpr (sizeof(T) == 8)
    return _mm512_mask_loadu_pd(_mm512_set1_pd(*x), static_cast<__mmask8>(first_lanes(n)), x);
#elif defined(__AVX2__)
  const __m256i given = first_lanes<T>(n);
  if constexpr (sizeof(T) == 4)
    return _mm256_blendv_ps(_mm256_set1_ps(*x), _mm256_maskload_ps(x, given), _mm256_castsi256_ps(given));
  if constexpr (sizeof(T) == 8)
    return _mm256_blendv_pd(_mm256_set1_pd(*x), _mm256_maskload_pd(x, given), _mm256_castsi256_pd(given));
#else
  alignas(64) T buffer[lanes<T>];
  for (std::int64_t i = 0; i < lanes<T>; ++i) buffer[i] = x[i < n ? i : 0];
  return Batch<T>::load_aligned(buffer);
#endif
}
template <class T>
void store_part(const Batch<T>& x, T* y, std::int64_t n) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) _mm512_mask_storeu_ps(y, first_lanes(n), x);
  if constexpr (sizeof(T) == 8) _mm512_mask_storeu_pd(y, static_cast<__mmask8>(first_lanes(n)), x);
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 4) _mm256_maskstore_ps(y, first_lanes<T>(n), x);
  if constexpr (sizeof(T) == 8) _mm256_maskstore_pd(y, first_lanes<T>(n), x);
#else
  alignas(64) T buffer[lanes<T>];
  x.store_aligned(buffer);
  for (std::int64_t i = 0; i < n; ++i) y[i] = buffer[i];
#endif
}

/// Prefetches the cache line `bytes` after x, which need not lie in the array.
template <class T>
[[gnu::always_inline]] inline void prefetch_beyond(const T* x, std::uintptr_t bytes) {
  const std::uintptr_t at = reinterpret_cast<std::uintptr_t>(x) + bytes;
  __builtin_prefetch(reinterpret_cast<const void*>(at));  // NOLINT(performance-no-int-to-ptr)
}
/// A streaming store, past the caches, where the processor has one; y is aligned to a batch. Another thread
/// may read it after a fence_streams.
template <class T>
[[gnu::always_inline]] inline void stream_aligned(const Batch<T>& x, T* y) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) return _mm512_stream_ps(y, x);
  if constexpr (sizeof(T) == 8) return _mm512_stream_pd(y, x);
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 4) return _mm256_stream_ps(y, x);
  if constexpr (sizeof(T) == 8) return _mm256_stream_pd(y, x);
#elif defined(__SSE2__)
  if constexpr (sizeof(T) == 4) return _mm_stream_ps(y, x);
  if constexpr (sizeof(T) == 8) return _mm_stream_pd(y, x);
#endif
  x.store_aligned(y);
}
inline void fence_streams() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

/// The sum of the elements of a batch.
template <class T>
T lane_sum(const Batch<T>& x) {
#if XSIMD_VERSION_MAJOR >= 9
  return xsimd::reduce_add(x);
#else
  return xsimd::hadd(x);
#endif
}

/// y = f(x...) over n elements. The last few go through a batch too, so that an element's result does not
/// depend on its position. Everything is inlined (flatten): a call of f would pass batches through memory.
template <class T, class F, class... Xs>
[[gnu::flatten]] void map(std::int64_t n, T* y, F f, const Xs*... xs) {
  std::int64_t i = 0;
  for (; i + lanes<T> <= n; i += lanes<T>) f(Batch<T>::load_unaligned(xs + i)...).store_unaligned(y + i);
  if (n - i == 1) {  // a broadcast: a wider load of an element stored just before would wait for it
    y[i] = f(Batch<T>(xs[i])...).get(0);
  } else if (i < n) {
    store_part<T>(f(load_repeated<T>(xs + i, n - i)...), y + i, n - i);
  }
}

/// Calls f(offset, load, store) for each batch of n elements. In the last one, load and store leave out what
/// is beyond n: there are zeros, or with `repeated` the first of the elements.
template <class T, bool repeated = false, class F>
[[gnu::flatten]] void for_batches(std::int64_t n, F f) {
  std::int64_t i = 0;
  for (; i + lanes<T> <= n; i += lanes<T>) {
    f(
        i, [](const T* x) { return Batch<T>::load_unaligned(x); },
        [](const Batch<T>& v, T* y) { v.store_unaligned(y); });
  }
  if (i < n) {
    f(
        i,
        [left = n - i](const T* x) {
          if constexpr (repeated) return load_repeated<T>(x, left);
          return load_part<T>(x, left);
        },
        [left = n - i](const Batch<T>& v, T* y) { store_part<T>(v, y, left); });
  }
}
