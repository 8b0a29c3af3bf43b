// The floating-point state of the processor while a kernel runs.
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace {

// Sets rounding to nearest and flushes denormals to zero for the scope, and restores the caller's state after it.
// Denormals are slow, and occur where nothing moves. x86-64 flushes a result that is denormal after rounding, ARM one
// that is denormal before it: there a result within one rounding of the smallest normal number may differ.
struct FloatingPointState {
#if defined(__x86_64__)
    unsigned callers = _mm_getcsr();
    FloatingPointState()
    {
        constexpr unsigned MASK_ALL_EXCEPTIONS = 0x1f80, FLUSH_TO_ZERO = 0x8000, DENORMALS_ARE_ZERO = 0x0040;
        _mm_setcsr(MASK_ALL_EXCEPTIONS | FLUSH_TO_ZERO | DENORMALS_ARE_ZERO);
    }
    ~FloatingPointState() { _mm_setcsr(callers); }
#elif defined(__aarch64__)
    uint64_t callers;
    FloatingPointState()
    {
        const uint64_t flush_to_zero = 1ull << 24;
        __asm__ volatile("mrs %0, fpcr" : "=r"(callers));
        __asm__ volatile("msr fpcr, %0" : : "r"(flush_to_zero) : "memory");
    }
    ~FloatingPointState() { __asm__ volatile("msr fpcr, %0" : : "r"(callers) : "memory"); }
#else
#error "add code that makes this processor flush denormals to zero: without it the results would differ"
#endif
};

}  // namespace
