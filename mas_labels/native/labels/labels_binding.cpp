// The Python module mas_labels._labels, on buffers. The content of arrays is checked in mas_labels/labels/compute.py;
// here only the sizes of the buffers, and that no access is out of range.
#include "binding.h"

#include <new>

#include "labels.h"

namespace {

Builds<LabelsKernel> builds()
{
#if defined(MAS_AVX)
    return {&labels_avx512, &labels_avx2, &labels_portable};
#else
    return {nullptr, nullptr, &labels_portable};
#endif
}

PyObject* available(PyObject*, PyObject*) { return builds().names(); }

bool holds(const Buffer& buffer, long long numbers, size_t number_bytes)
{
    if (buffer.view.len == Py_ssize_t(numbers * (long long)number_bytes)) return true;
    PyErr_SetString(PyExc_ValueError, "the sizes of the buffers do not fit");
    return false;
}

constexpr int MAX_VIEW = 1 << 15;  // numbers of blocks and of pixels fit into an int

// The number of rows of a table of 32-bit integers with `columns` columns; -1, with a Python exception, if it or the
// patterns are invalid. Every row begins with the offsets of a crop, which must be inside the frame.
int table_rows(const Buffer& table, int columns, int rows, int cols, const Patterns& p)
{
    if (p.view < 2 || p.view > MAX_VIEW || p.view % 2 || p.grid_block < 1 || p.view % p.grid_block || p.ring_width < 1
        || p.half() % p.ring_width || p.view > rows || p.view > cols) {
        PyErr_SetString(PyExc_ValueError, "the patterns do not divide the view, or it leaves the frame");
        return -1;
    }
    const Py_ssize_t count = table.view.len / (columns * (Py_ssize_t)sizeof(int32_t));
    if (!holds(table, (long long)count * columns, sizeof(int32_t))) return -1;
    const int32_t* number = static_cast<const int32_t*>(table.view.buf);
    for (Py_ssize_t n = 0; n < count; ++n, number += columns)
        if (number[0] < 0 || number[0] > rows - p.view || number[1] < 0 || number[1] > cols - p.view
            || (columns == 3 && (number[2] < 0 || number[2] > p.blocks()))) {
            PyErr_SetString(PyExc_ValueError, "a crop leaves the frame, or a block is out of range");
            return -1;
        }
    return (int)count;
}

// Runs one pass with the GIL released.
template <class Problem>
PyObject* run(void (*pass)(const Problem&), const Problem& problem)
{
    bool done = true;
    Py_BEGIN_ALLOW_THREADS
    try {
        pass(problem);
    } catch (const std::bad_alloc&) {
        done = false;
    }
    Py_END_ALLOW_THREADS
    if (!done) return PyErr_NoMemory();
    Py_RETURN_NONE;
}

template <class T>
T* numbers(const Buffer& buffer) { return static_cast<T*>(buffer.view.buf); }

// field_sums(isa, (fields, rows, cols), prewitt, flow, crops, boundaries, of_crops, of_frame,
//            (view, grid_block, ring_width))
PyObject* field_sums(PyObject*, PyObject* args)
{
    const char* isa;
    FieldsProblem p = {};
    int prewitt;
    PyObject *in[2], *out[3];
    if (!PyArg_ParseTuple(args, "s(iii)pOOOOO(iii)", &isa, &p.fields, &p.rows, &p.cols, &prewitt, &in[0], &in[1], &out[0],
                          &out[1], &out[2], &p.patterns.view, &p.patterns.grid_block, &p.patterns.ring_width))
        return nullptr;
    const LabelsKernel* kernel = builds().find(isa);
    Buffer flow, crops, boundaries, of_crops, of_frame;
    if (!kernel || !flow.get(in[0], 0) || !crops.get(in[1], 0) || !boundaries.get(out[0], PyBUF_WRITABLE)
        || !of_crops.get(out[1], PyBUF_WRITABLE) || !of_frame.get(out[2], PyBUF_WRITABLE))
        return nullptr;
    const long long pixels = (long long)p.rows * p.cols;
    const int count = table_rows(crops, 2, p.rows, p.cols, p.patterns);
    if (count < 0 || !holds(flow, p.fields * pixels * 2, sizeof(float)) || !holds(boundaries, pixels * 4, sizeof(float))
        || !holds(of_crops, 2LL * count * p.fields, sizeof(int64_t)) || !holds(of_frame, 2LL * p.fields, sizeof(int64_t)))
        return nullptr;
    p.flow = numbers<const float>(flow);
    p.prewitt = prewitt;
    p.crops = {numbers<const int32_t>(crops), count};
    p.boundaries = numbers<float>(boundaries);
    p.of_crops = numbers<int64_t>(of_crops);
    p.of_frame = numbers<int64_t>(of_frame);
    return run(kernel->field_sums, p);
}

// vote_sums(isa, (layers, rows, cols), shared_diagonals, bins, votes, crops, sums,
//            (view, grid_block, ring_width))
PyObject* vote_sums(PyObject*, PyObject* args)
{
    const char* isa;
    VotesProblem p = {};
    int shared;
    PyObject *in[3], *out;
    if (!PyArg_ParseTuple(args, "s(iii)pOOOO(iii)", &isa, &p.layers, &p.rows, &p.cols, &shared, &in[0], &in[1], &in[2], &out,
                          &p.patterns.view, &p.patterns.grid_block, &p.patterns.ring_width))
        return nullptr;
    const LabelsKernel* kernel = builds().find(isa);
    Buffer bins, votes, crops, sums;
    if (!kernel || !bins.get(in[0], 0) || !votes.get(in[1], 0) || !crops.get(in[2], 0) || !sums.get(out, PyBUF_WRITABLE))
        return nullptr;
    const long long pixels = (long long)p.layers * p.rows * p.cols;
    const int count = table_rows(crops, 2, p.rows, p.cols, p.patterns);
    if (count < 0 || !holds(bins, pixels, 1) || !holds(votes, pixels, sizeof(int64_t))
        || !holds(sums, (long long)count * p.patterns.blocks() * ORIENTATIONS, sizeof(int64_t)))
        return nullptr;
    p.bins = numbers<const uint8_t>(bins);
    for (long long n = 0; n < pixels; ++n)
        if (p.bins[n] >= ORIENTATIONS) return PyErr_Format(PyExc_ValueError, "no orientation %d", p.bins[n]);
    p.votes = numbers<const int64_t>(votes);
    p.crops = {numbers<const int32_t>(crops), count};
    p.shared_diagonals = shared;
    p.sums = numbers<int64_t>(sums);
    return run(kernel->vote_sums, p);
}

// colour_sums(isa, (frames, rows, cols), shared_diagonals, frames, crops, intersection, union, octants,
//            (view, grid_block, ring_width))
PyObject* colour_sums(PyObject*, PyObject* args)
{
    const char* isa;
    ColoursProblem p = {};
    int shared;
    PyObject *in[2], *out[3];
    if (!PyArg_ParseTuple(args, "s(iii)pOOOOO(iii)", &isa, &p.count, &p.rows, &p.cols, &shared, &in[0], &in[1], &out[0],
                          &out[1], &out[2], &p.patterns.view, &p.patterns.grid_block, &p.patterns.ring_width))
        return nullptr;
    const LabelsKernel* kernel = builds().find(isa);
    Buffer frames, crops, intersection, union_, octants;
    if (!kernel || !frames.get(in[0], 0) || !crops.get(in[1], 0) || !intersection.get(out[0], PyBUF_WRITABLE)
        || !union_.get(out[1], PyBUF_WRITABLE) || !octants.get(out[2], PyBUF_WRITABLE))
        return nullptr;
    const int count = table_rows(crops, 2, p.rows, p.cols, p.patterns);
    if (count < 0) return nullptr;  // before patterns divide, whose sizes may be 0
    const long long blocks = (long long)count * p.patterns.blocks();
    if (!holds(frames, (long long)p.count * p.rows * p.cols * CHANNELS, 1)
        || !holds(intersection, blocks * CHANNELS, sizeof(int64_t)) || !holds(union_, blocks * CHANNELS, sizeof(int64_t))
        || !holds(octants, blocks * OCTANTS, sizeof(int64_t)))
        return nullptr;
    p.frames = numbers<const uint8_t>(frames);
    p.crops = {numbers<const int32_t>(crops), count};
    p.shared_diagonals = shared;
    p.intersection = numbers<int64_t>(intersection);
    p.union_ = numbers<int64_t>(union_);
    p.octants = numbers<int64_t>(octants);
    return run(kernel->colour_sums, p);
}

// frequent_colours(isa, (frames, rows, cols), shared_diagonals, frames, queries, codes,
//            (view, grid_block, ring_width))
PyObject* frequent_colours(PyObject*, PyObject* args)
{
    const char* isa;
    FrequentProblem p = {};
    int shared;
    PyObject *in[2], *out;
    if (!PyArg_ParseTuple(args, "s(iii)pOOO(iii)", &isa, &p.count, &p.rows, &p.cols, &shared, &in[0], &in[1], &out,
                          &p.patterns.view, &p.patterns.grid_block, &p.patterns.ring_width))
        return nullptr;
    const LabelsKernel* kernel = builds().find(isa);
    Buffer frames, queries, codes;
    if (!kernel || !frames.get(in[0], 0) || !queries.get(in[1], 0) || !codes.get(out, PyBUF_WRITABLE)) return nullptr;
    const long long pixels = (long long)p.count * p.rows * p.cols;
    p.n_queries = table_rows(queries, 3, p.rows, p.cols, p.patterns);
    if (p.n_queries < 0 || !holds(frames, pixels * CHANNELS, 1) || !holds(codes, p.n_queries, sizeof(int64_t))) return nullptr;
    if (pixels > UINT32_MAX) {
        PyErr_SetString(PyExc_ValueError, "a clip may have at most 2**32 - 1 pixels");
        return nullptr;
    }
    p.frames = numbers<const uint8_t>(frames);
    p.queries = numbers<const int32_t>(queries);
    p.shared_diagonals = shared;
    p.codes = numbers<int64_t>(codes);
    return run(kernel->frequent_colours, p);
}

PyMethodDef methods[] = {
    {"available", available, METH_NOARGS, "The instruction sets that this processor supports, best first."},
    {"field_sums", field_sums, METH_VARARGS, "Mu, Mv and sums of magnitudes; see mas_labels.labels.block_sums."},
    {"vote_sums", vote_sums, METH_VARARGS, "Sums of votes for orientations; see mas_labels.labels.block_sums."},
    {"colour_sums", colour_sums, METH_VARARGS, "Sums of histograms and octants; see mas_labels.labels.block_sums."},
    {"frequent_colours", frequent_colours, METH_VARARGS, "The most frequent colours of blocks; see mas_labels.labels.block_sums."},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef module = {PyModuleDef_HEAD_INIT, "_labels", "The compiled backend of mas_labels.labels.block_sums.", -1, methods,
                      nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit__labels() { return PyModule_Create(&module); }
