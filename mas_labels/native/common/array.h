// A heap array, aligned for vectors. The kernels use no templates of the standard library: the linker keeps one copy of
// each for all builds, which could be the one for an instruction set that this processor lacks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace {

template <class T>
class Array {
public:
    // Zero-initialised.
    explicit Array(size_t count) : memory_(std::calloc(count + ALIGNMENT / sizeof(T), sizeof(T)))
    {
        if (!memory_) throw std::bad_alloc();
        data_ = reinterpret_cast<T*>((reinterpret_cast<uintptr_t>(memory_) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
    }
    ~Array() { std::free(memory_); }
    Array(const Array&) = delete;
    Array& operator=(const Array&) = delete;

    T* data() { return data_; }
    const T* data() const { return data_; }
    T& operator[](size_t index) { return data_[index]; }
    const T& operator[](size_t index) const { return data_[index]; }

private:
    static constexpr size_t ALIGNMENT = 64;  // bytes, a multiple of the size of T

    void* memory_;
    T* data_;
};

}  // namespace
