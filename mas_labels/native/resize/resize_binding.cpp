// The Python module mas_labels._resize, on buffers; sizes of buffers are checked here, and that no access is out of range.
#include "binding.h"

#include <new>

#include "resize.h"

namespace {

Builds<ResizeKernel> builds()
{
#if defined(MAS_AVX)
    return {&resize_avx512, &resize_avx2, &resize_portable};
#else
    return {nullptr, nullptr, &resize_portable};
#endif
}

PyObject* available(PyObject*, PyObject*) { return builds().names(); }

// The averages of `count` rows or columns of `size`; false if a pixel with a weight is out of range.
bool get_averages(const Buffer& starts, const Buffer& weights, int size, int count, Averages& out)
{
    constexpr int MAX_SIDE = 1 << 24;  // products of sides and channels do not overflow
    if (size < 1 || size > MAX_SIDE || count > MAX_SIDE) return false;
    const Py_ssize_t taps = count > 0 ? weights.view.len / (count * (Py_ssize_t)sizeof(float)) : 0;
    if (taps < 1 || taps > size + 1 || weights.view.len != taps * count * (Py_ssize_t)sizeof(float)
        || starts.view.len != count * (Py_ssize_t)sizeof(int32_t))
        return false;
    out = {static_cast<const int32_t*>(starts.view.buf), static_cast<const float*>(weights.view.buf), count, (int)taps};
    for (int n = 0; n < count; ++n)
        for (int tap = 0; tap < taps; ++tap)
            if (out.starts[n] < 0 || out.starts[n] >= size
                || (out.weights[n * taps + tap] != 0.0f && out.starts[n] + tap >= size))
                return false;
    return true;
}

// area_average(isa, (rows, cols), (out_rows, out_cols), bgr, starts and weights of rows, and of columns, rgb)
PyObject* area_average(PyObject*, PyObject* args)
{
    const char* isa;
    ResizeProblem p = {};
    int rows, cols;
    PyObject* in[6];
    if (!PyArg_ParseTuple(args, "s(ii)(ii)OOOOOO", &isa, &p.rows, &p.cols, &rows, &cols, &in[0], &in[1], &in[2], &in[3],
                          &in[4], &in[5]))
        return nullptr;
    const ResizeKernel* kernel = builds().find(isa);
    Buffer bgr, starts[2], weights[2], rgb;
    if (!kernel || !bgr.get(in[0], 0) || !starts[0].get(in[1], 0) || !weights[0].get(in[2], 0)
        || !starts[1].get(in[3], 0) || !weights[1].get(in[4], 0) || !rgb.get(in[5], PyBUF_WRITABLE))
        return nullptr;
    if (!get_averages(starts[0], weights[0], p.rows, rows, p.down)
        || !get_averages(starts[1], weights[1], p.cols, cols, p.across) || bgr.view.len != 3LL * p.rows * p.cols
        || rgb.view.len != 3LL * rows * cols) {
        PyErr_SetString(PyExc_ValueError, "the sizes of the buffers do not fit, or a pixel is out of range");
        return nullptr;
    }
    p.bgr = static_cast<const uint8_t*>(bgr.view.buf);
    p.rgb = static_cast<uint8_t*>(rgb.view.buf);
    bool done = true;
    Py_BEGIN_ALLOW_THREADS
    try {
        kernel->area_average(p);
    } catch (const std::bad_alloc&) {
        done = false;
    }
    Py_END_ALLOW_THREADS
    if (!done) return PyErr_NoMemory();
    Py_RETURN_NONE;
}

PyMethodDef methods[] = {
    {"available", available, METH_NOARGS, "The instruction sets that this processor supports, best first."},
    {"area_average", area_average, METH_VARARGS, "Area averages of a frame; see mas_labels.video.area_average."},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef module = {PyModuleDef_HEAD_INIT, "_resize", "Area averages for mas_labels.video.area_average.", -1, methods,
                      nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit__resize() { return PyModule_Create(&module); }
