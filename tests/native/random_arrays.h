// Random arrays for the programs that a sanitizer watches: each a piece of the heap of exactly its size, so that a read or
// a write beyond it shows.
#pragma once
#include <memory>
#include <random>

#include "window.h"

namespace cnn {

inline std::mt19937_64 numbers(0);
inline i64 between(i64 low, i64 high) { return low + static_cast<i64>(numbers() % static_cast<uint64_t>(high - low + 1)); }

template <class T>
struct Array {
  i64 size;
  std::unique_ptr<T[]> at;

  explicit Array(i64 count) : size(count), at(new T[count]) {}

  static Array random(i64 count) {  // of small integers, which both dtypes hold, and whose sums are exact in float32
    Array array(count);
    for (i64 i = 0; i < count; ++i) {
      const float number = static_cast<float>(between(-3, 3));
      if constexpr (std::is_same_v<T, float>) {
        array.at[i] = number;
      } else {
        uint32_t bits;
        memcpy(&bits, &number, sizeof bits);
        array.at[i].bits = static_cast<uint16_t>(bits >> 16);
      }
    }
    return array;
  }
};

// The image of a window with such padding at its end, at least as large as what the window sees of it; and its places.
inline void draw_image(Window& v, i64 bottom, i64 right) {
  v.h = std::max<i64>(1, v.kh - v.top - bottom) + between(0, 14), v.w = std::max<i64>(1, v.kw - v.left - right) + between(0, 14);
  v.ho = (v.h + v.top + bottom - v.kh) / v.sh + 1, v.wo = (v.w + v.left + right - v.kw) / v.sw + 1;
}

}  // namespace cnn
