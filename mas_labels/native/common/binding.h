// Shared by the Python modules: buffers, and the builds of a kernel that this processor supports.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <cstring>

namespace {

// The builds of a kernel that this processor and operating system support, best first. setup.py sets MAS_AVX where it
// compiles those for AVX: a macOS module for two processors ("universal2") has the portable build alone.
template <class Kernel>
struct Builds {
    const Kernel* usable[3];
    int count = 0;

    Builds(const Kernel* avx512, const Kernel* avx2, const Kernel* portable)
    {
#if defined(MAS_AVX)
        __builtin_cpu_init();
        const bool runs_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
        if (runs_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl")
            && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw"))
            usable[count++] = avx512;
        if (runs_avx2) usable[count++] = avx2;
#else
        (void)avx512;
        (void)avx2;
#endif
        usable[count++] = portable;
    }

    // Their names as a tuple; null, with a Python exception, without memory.
    PyObject* names() const
    {
        PyObject* all = PyTuple_New(count);
        for (int i = 0; all && i < count; ++i) {
            PyObject* name = PyUnicode_FromString(usable[i]->isa);
            if (!name || PyTuple_SetItem(all, i, name) != 0) Py_CLEAR(all);
        }
        return all;
    }

    // The build for `isa`; null, with a Python exception, if this processor does not support it.
    const Kernel* find(const char* isa) const
    {
        for (int i = 0; i < count; ++i)
            if (std::strcmp(usable[i]->isa, isa) == 0) return usable[i];
        PyErr_Format(PyExc_ValueError, "this processor does not run the instruction set %s", isa);
        return nullptr;
    }
};

// A contiguous Python buffer, released at the end of the scope.
struct Buffer {
    Py_buffer view = {};
    ~Buffer() { if (view.obj) PyBuffer_Release(&view); }
    bool get(PyObject* object, int flags) { return PyObject_GetBuffer(object, &view, flags | PyBUF_C_CONTIGUOUS) == 0; }
};

}  // namespace
