"""A trained model from Python, by the C interface: python3 gradus_ctypes.py libgradus.so MODEL"""
import ctypes
import sys
from ctypes import POINTER, byref, c_char_p, c_double, c_float, c_int32, c_int64, c_size_t, c_void_p


class Error(ctypes.Structure):
    _fields_ = [("code", c_int32), ("message", ctypes.c_char * 500)]


def declare(lib):
    for name, result, arguments in [
            ("gradus_load", c_void_p, [c_char_p, POINTER(Error)]),
            ("gradus_free", None, [c_void_p]),
            ("gradus_vocab_size", c_int32, [c_void_p]),
            ("gradus_score", c_int32, [c_void_p, c_char_p, c_size_t, POINTER(c_double), POINTER(Error)]),
            ("gradus_state_start", c_void_p, [c_void_p, POINTER(Error)]),
            ("gradus_state_log_probs", c_int32, [c_void_p, POINTER(c_float), POINTER(Error)]),
            ("gradus_state_free", None, [c_void_p]),
            ("gradus_generate", c_int64, [c_void_p, c_char_p, c_size_t, c_void_p, c_void_p, c_void_p,
                                          c_char_p, c_size_t, POINTER(Error)])]:
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


def main(library, path):
    lib, error = declare(ctypes.CDLL(library)), Error()
    assert lib.gradus_c_version() == 1
    model = lib.gradus_load(path.encode(), byref(error))
    if not model:
        sys.exit(error.message.decode())
    text, log_prob = b"the king has a crown .\n", c_double()
    if lib.gradus_score(model, text, len(text), byref(log_prob), byref(error)) < 0:
        sys.exit(error.message.decode())
    print(f"log p = {log_prob.value:.4f} nats")

    state = lib.gradus_state_start(model, byref(error))
    first = (c_float * lib.gradus_vocab_size(model))()
    lib.gradus_state_log_probs(state, first, byref(error))
    lib.gradus_state_free(state)
    print(f"the likeliest first token has id {max(range(len(first)), key=first.__getitem__)}")

    room = ctypes.create_string_buffer(4096)
    size = lib.gradus_generate(model, b"the king", 8, None, None, None, room, len(room), byref(error))
    print(room.raw[:min(size, len(room))].decode(errors="replace"))
    lib.gradus_free(model)


if __name__ == "__main__":
    main(*sys.argv[1:])
