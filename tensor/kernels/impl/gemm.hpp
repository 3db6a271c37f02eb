// The kernels of products of matrices. Part of impl.hpp.

template <class T>
constexpr Tiles<T> register_tiles{.rows = tile_rows,
                                  .cols = tile_batches* lanes<T>,
                                  .lanes = lanes<T>,
                                  .packed = tiles_of<T, tile_batches, Layout::packed>(),
                                  .packed_narrow = tiles_of<T, 1, Layout::packed>(),
                                  .in_place = tiles_of<T, tile_batches, Layout::in_place>(),
                                  .in_place_narrow = tiles_of<T, 1, Layout::in_place>()};

template <class T, class Rest>
struct WithGemm : Rest {
  void dots(const T* x, std::int64_t ldx, std::int64_t m, const T* b, std::int64_t ldb, std::int64_t rows,
            std::int64_t k, T* out, std::int64_t ldo) const override {
    all_dots(x, ldx, m, b, ldb, rows, k, out, ldo);
  }

  // In the order of the rows; c is read and written once for four of them.
  void add_rows(const T* a, const T* b, std::int64_t ldb, std::int64_t rows, T* c,
                std::int64_t cols) const override {
    using B = Batch<T>;
    std::int64_t p = 0;
    for (; p + 4 <= rows; p += 4) {
      const T* const row = b + p * ldb;
      const B a0(a[p]), a1(a[p + 1]), a2(a[p + 2]), a3(a[p + 3]);
      for_batches<T>(cols, [&](std::int64_t j, auto load, auto store) {
        B sum = mul_add(a0, load(row + j), load(c + j));
        sum = mul_add(a1, load(row + ldb + j), sum);
        sum = mul_add(a2, load(row + 2 * ldb + j), sum);
        store(mul_add(a3, load(row + 3 * ldb + j), sum), c + j);
      });
    }
    for (; p < rows; ++p) this->add_scaled(a[p], b + p * ldb, c, cols);
  }
  const Tiles<T>& tiles() const override { return register_tiles<T>; }
  std::int64_t packed_depth(std::int64_t depth) const override { return depth; }
  void pack(Side, const T* x, std::int64_t across, std::int64_t along, std::int64_t count, std::int64_t depth,
            std::int64_t width, T* out) const override {
    // Where entries lie side by side across, a few rows are packed for all groups while they are in a cache.
    const std::int64_t at_once = across == 1 ? 16 : depth;
    for (std::int64_t p = 0; p < depth; p += at_once) {
      const std::int64_t deep = depth - p < at_once ? depth - p : at_once;
      T* to = out + p * width;
      for (std::int64_t first = 0; first < count; first += width, to += depth * width) {
        const std::int64_t there = count - first;
        const T* const from = x + first * across + p * along;
        if (across == 1) {
          pack_rows(from, along, there, deep, width, to);
        } else {
          pack_columns(from, across, along, there < width ? there : width, deep, width, to);
        }
      }
    }
  }
};
