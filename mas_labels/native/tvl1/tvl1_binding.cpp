// The Python module mas_labels._tvl1, on buffers. Arguments are checked in mas_labels/flow/tvl1.py.
#include "binding.h"

#include <cstdlib>

#include "tvl1.h"

namespace {

Builds<Tvl1Kernel> builds()
{
#if defined(MAS_AVX)
    return {&tvl1_avx512, &tvl1_avx2, &tvl1_portable};
#else
    return {nullptr, nullptr, &tvl1_portable};
#endif
}

PyObject* available(PyObject*, PyObject*) { return builds().names(); }

// The workspace is allocated for one call: memory does not grow with use, and calls share no state.
bool run(const Tvl1Kernel& kernel, const Tvl1Problem& problem)
{
    constexpr size_t ALIGNMENT = 64;
    char* memory = static_cast<char*>(std::calloc(kernel.workspace_bytes(problem) + ALIGNMENT, 1));
    if (!memory) return false;
    char* aligned = memory + (ALIGNMENT - reinterpret_cast<uintptr_t>(memory) % ALIGNMENT) % ALIGNMENT;
    kernel.solve(problem, aligned);
    std::free(memory);
    return true;
}

// solve(isa, frames (T, H, W) uint8 or float32, initial_flow or None, flow (T-1, H, W, 2) float32, options...)
PyObject* solve(PyObject*, PyObject* args)
{
    const char* isa;
    PyObject *frames_object, *initial_object, *flow_object;
    Tvl1Options o;
    if (!PyArg_ParseTuple(args, "sOOO(dddiidiidi)", &isa, &frames_object, &initial_object, &flow_object, &o.tau,
                          &o.lambda, &o.theta, &o.nscales, &o.warps, &o.epsilon, &o.inner_iterations, &o.outer_iterations,
                          &o.scale_step, &o.median_filtering))
        return nullptr;
    const Tvl1Kernel* kernel = builds().find(isa);
    Buffer frames, initial, flow;
    if (!kernel || !frames.get(frames_object, PyBUF_FORMAT) || !flow.get(flow_object, PyBUF_WRITABLE)) return nullptr;
    if (initial_object != Py_None && !initial.get(initial_object, PyBUF_SIMPLE)) return nullptr;
    const Py_ssize_t* shape = frames.view.shape;
    const Py_ssize_t flow_bytes = frames.view.ndim == 3 ? (shape[0] - 1) * shape[1] * shape[2] * 8 : -1;
    if (flow.view.len != flow_bytes || (initial.view.obj && initial.view.len != flow_bytes)) {
        PyErr_SetString(PyExc_ValueError, "the sizes of the buffers do not fit");
        return nullptr;
    }
    const bool bytes = frames.view.itemsize == 1;
    const Tvl1Problem problem = {o, (int)shape[0], (int)shape[1], (int)shape[2],
                                 bytes ? static_cast<const uint8_t*>(frames.view.buf) : nullptr,
                                 bytes ? nullptr : static_cast<const float*>(frames.view.buf),
                                 static_cast<const float*>(initial.view.buf), static_cast<float*>(flow.view.buf)};
    bool done;
    Py_BEGIN_ALLOW_THREADS
    done = run(*kernel, problem);
    Py_END_ALLOW_THREADS
    if (!done) return PyErr_NoMemory();
    Py_RETURN_NONE;
}

PyMethodDef methods[] = {
    {"available", available, METH_NOARGS, "The instruction sets that this processor supports, best first."},
    {"solve", solve, METH_VARARGS, "TV-L1 flow between consecutive frames; see mas_labels.flow.tvl1."},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef module = {PyModuleDef_HEAD_INIT, "_tvl1", "The TV-L1 solver of mas_labels.flow.tvl1.", -1, methods,
                      nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit__tvl1() { return PyModule_Create(&module); }
