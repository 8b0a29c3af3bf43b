// An array on the heap. The standard library's templates are kept out of the kernels: the linker keeps one copy of
// each for all builds, and that could be the one for an instruction set which this processor lacks.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <new>

namespace {

template <class T>
class Array {
public:
    // All zeros.
    explicit Array(size_t count) : data_(static_cast<T*>(std::calloc(count ? count : 1, sizeof(T))))
    {
        if (!data_) throw std::bad_alloc();
    }
    ~Array() { std::free(data_); }
    Array(const Array&) = delete;
    Array& operator=(const Array&) = delete;

    T* data() { return data_; }
    const T* data() const { return data_; }
    T& operator[](size_t at) { return data_[at]; }
    const T& operator[](size_t at) const { return data_[at]; }

private:
    T* data_;
};

}  // namespace
