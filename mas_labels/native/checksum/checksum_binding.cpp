// The Python module mas_labels._checksum, on buffers.
#include "binding.h"

#include "checksum.h"

namespace {

Builds<ChecksumKernel> builds()
{
#if defined(MAS_AVX)
    return {&checksum_avx512, &checksum_avx2, &checksum_portable};
#else
    return {nullptr, nullptr, &checksum_portable};
#endif
}

PyObject* available(PyObject*, PyObject*) { return builds().names(); }

// fletcher32(isa, data) -> int
PyObject* fletcher32(PyObject*, PyObject* args)
{
    const char* isa;
    PyObject* object;
    if (!PyArg_ParseTuple(args, "sO", &isa, &object)) return nullptr;
    const ChecksumKernel* kernel = builds().find(isa);
    Buffer data;
    if (!kernel || !data.get(object, 0)) return nullptr;
    uint32_t sum;
    Py_BEGIN_ALLOW_THREADS
    sum = kernel->fletcher32(static_cast<const uint8_t*>(data.view.buf), (size_t)data.view.len);
    Py_END_ALLOW_THREADS
    return PyLong_FromUnsignedLong(sum);
}

PyMethodDef methods[] = {
    {"available", available, METH_NOARGS, "The instruction sets that this processor supports, best first."},
    {"fletcher32", fletcher32, METH_VARARGS, "HDF5's fletcher32 checksum of bytes; see mas_labels.shards.digests."},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef module = {PyModuleDef_HEAD_INIT, "_checksum", "HDF5's fletcher32 checksum for mas_labels.shards.digests.", -1, methods,
                      nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit__checksum() { return PyModule_Create(&module); }
