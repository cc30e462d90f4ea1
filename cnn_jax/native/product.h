// The product at the heart of a convolution and of its gradient to the images: R places times V vectors of filters.
//
// All R * V sums stay in registers while the taps go by; each number of the images is broadcast once for V vectors, each
// vector of filters read once for R places. Six places of two vectors take 12 of AVX2's 16 registers, six of four 24 of
// AVX-512's 32, and both keep a core's two multipliers busy: instructions that take four cycles need eight sums to wait
// for nothing. A place is a pointer of its own, so that a tile may hold the end of one row and the start of the next: rows
// of 8 places in tiles of 6 are a fifth faster than as two tiles of 4. Tiles differ by one place at most.
//
// Source: Goto and van de Geijn 2008, "Anatomy of high-performance matrix multiplication", section 4.
#pragma once
#include <utility>

#include "pairs.h"

namespace cnn {

constexpr int WIDEST = LANES == 16 ? 4 : 2;  // vectors of filters in a panel
// Places of a tile, or taps. Pointers want registers, too: GCC has too few for twelve of AVX-512's single vectors, which by
// llvm-mca's model of a Skylake server make 1.58 of two products a cycle, and nine 1.77.
constexpr int most_rows(int vectors) {
  return LANES == 16 ? (vectors == 1 ? 9 : 24 / vectors) : (vectors == 1 ? 8 : 6);
}

// Runs of factors that a place sees: `count` of `length`, `line` apart.
struct Runs {
  i64 count, length, line;
};

// sum[r][v] += row[r][at] * vectors[v]: R * V products, of which each factor and each vector is read once.
template <int R, int V, class F>
inline __attribute__((always_inline)) void add_products(Vec (&sum)[R][V], const F* const (&row)[R], i64 at, const F* vectors) {
  decltype(lanes(vectors)) vector[V];
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) vector[v] = lanes(vectors + v * LANES);
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
    const auto seen = everywhere(row[r] + at);
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) sum[r][v] = add(sum[r][v], seen, vector[v]);
  }
}

template <int R, int V, class T>
void product(const Factor<T>* images, const i64* places, const Runs& runs, const Factor<T>* panel, T* y, const i64* results,
             i64 filters) {
  Vec sum[R][V] = {};
  for (i64 run = 0; run < runs.count; ++run) {
    const Factor<T>* place[R];
    for (int r = 0; r < R; ++r) place[r] = images + places[r] + run * runs.line;
    for (i64 k = 0; k < runs.length; ++k, panel += V * LANES) add_products(sum, place, k, panel);
  }
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v)
      if (filters > v * LANES) store(y + results[r] + v * LANES, sum[r][v], filters - v * LANES);
}

// Calls `work(first, count)` for tiles of so many rows at most.
template <class Work>
void in_tiles(i64 rows, i64 most, const Work& work) {
  const i64 tiles = (rows + most - 1) / most;
  for (i64 tile = 0, first = 0; tile < tiles; ++tile) {
    const i64 count = (rows - first) / (tiles - tile);
    work(first, count);
    first += count;
  }
}

// Calls `work(rows, vectors)` with numbers that are known when compiling.
template <int V = WIDEST, int R = most_rows(V), class Work>
void of_size(i64 rows, i64 vectors, const Work& work) {
  if constexpr (V > 1)
    if (vectors < V) return of_size<V - 1>(rows, vectors, work);
  if constexpr (R > 1)
    if (rows < R) return of_size<V, R - 1>(rows, vectors, work);
  work(std::integral_constant<int, R>(), std::integral_constant<int, V>());
}

// Calls `work(first, rows, vectors)` for tiles of rows, with numbers of rows and vectors that are known when compiling.
template <class Work>
void in_registers(i64 rows, i64 vectors, const Work& work) {
  in_tiles(rows, most_rows(vectors), [&](i64 first, i64 count) {
    of_size(count, vectors, [&](auto R, auto V) { work(first, R, V); });
  });
}

// Calls `work(0)` to `work(count - 1)` with numbers that are known when compiling.
template <int... i, class Work>
void each(std::integer_sequence<int, i...>, const Work& work) { (work(std::integral_constant<int, i>()), ...); }
template <int count, class Work>
void each(const Work& work) { each(std::make_integer_sequence<int, count>(), work); }

}  // namespace cnn
