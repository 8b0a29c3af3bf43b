// A heap array, aligned for vectors. The kernels use no templates of the standard library: the linker keeps one copy of
// each for all builds, which could be the one for an instruction set that this processor lacks.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>

namespace {

template <class T>
class Array {
public:
    // Zero-initialised.
    explicit Array(size_t count) : data_(static_cast<T*>(std::aligned_alloc(ALIGNMENT, rounded_up(count * sizeof(T)))))
    {
        if (!data_) throw std::bad_alloc();
        std::memset(data_, 0, count * sizeof(T));
    }
    ~Array() { std::free(data_); }
    Array(const Array&) = delete;
    Array& operator=(const Array&) = delete;

    T* data() { return data_; }
    const T* data() const { return data_; }
    T& operator[](size_t index) { return data_[index]; }
    const T& operator[](size_t index) const { return data_[index]; }

private:
    static constexpr size_t ALIGNMENT = 64;

    static size_t rounded_up(size_t bytes) { return (bytes / ALIGNMENT + 1) * ALIGNMENT; }

    T* data_;
};

}  // namespace
