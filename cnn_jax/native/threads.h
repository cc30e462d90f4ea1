// Items of work shared among the threads that XLA has for one operation, and memory that each thread keeps.
//
// The caller takes items, too, and waits only for items that somebody has begun: a pool whose threads are all busy, or
// that has none, delays nothing, and nothing can lock. Which thread takes an item changes no result: whoever divides a
// sum divides it by shape, into items that are added up in order.
#pragma once
#include <atomic>
#include <cstdlib>
#include <functional>
#include <memory>
#include <new>
#include <thread>

#include "vectors.h"
#include "xla/ffi/api/ffi.h"

namespace cnn {

using Pool = xla::ffi::ThreadPool;

template <class Work>
void parallel(Pool& pool, i64 items, const Work& work) {
  struct Progress {
    std::atomic<i64> next{0}, done{0};
  };
  const auto progress = std::make_shared<Progress>();  // a helper may wake up after the caller has left
  const auto take = [progress, items, &work] {
    for (i64 i; (i = progress->next.fetch_add(1, std::memory_order_relaxed)) < items;) {
      work(i);
      progress->done.fetch_add(1, std::memory_order_release);
    }
  };
  const i64 helpers = std::min<i64>(pool.num_threads(), items) - 1;
  for (i64 helper = 0; helper < helpers; ++helper) pool.Schedule(std::function<void()>(take));
  take();
  while (progress->done.load(std::memory_order_acquire) < items) std::this_thread::yield();
}

// Memory of the calling thread for `count` numbers, one piece for each purpose. What was in it is lost.
enum Purpose { IMAGES, GRADIENTS, FILTERS, SUMS, PLACES, CHANNELS, TURNED, ZEROS };

template <Purpose purpose, class T = float>
T* scratch(i64 count) {
  constexpr size_t line = 64;  // of a cache
  struct Memory {
    T* numbers = nullptr;
    size_t bytes = 0;
    ~Memory() { free(numbers); }
  };
  static thread_local Memory memory;
  const size_t bytes = (count * sizeof(T) + 2 * line - 1) / line * line;
  if (memory.bytes < bytes) {
    free(memory.numbers);
    memory.bytes = 0;
    memory.numbers = static_cast<T*>(aligned_alloc(line, bytes));
    if (!memory.numbers) throw std::bad_alloc();
    memory.bytes = bytes;
  }
  return memory.numbers;
}

}  // namespace cnn
