"""Decodes video files with FFmpeg, through PyAV, and reports everything that is wrong with a file.

PyAV is used because it reports frames whose errors were concealed, and changes of the frame size.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from typing import Any, NoReturn

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from mas_labels.errors import VideoError
from mas_labels.video.display_matrix import as_shown, display_matrix
from mas_labels.video.frame_rate import Clock, at_rate
from mas_labels.video.reader import (
    DAMAGED,
    NO_MEMORY,
    RUN_AGAIN,
    FrameReader,
    WatchedFile,
    open_regular,
    unreadable,
)
from mas_labels.video.stated_length import missing_bytes

DECODER_ERRORS = (av.FFmpegError, ValueError, OSError)
"""Exceptions of PyAV for corrupt files: FFmpeg's errors, and Python's for formats that it does not know."""

OPEN_OPTIONS: dict[str, Any] = {"metadata_errors": "ignore"} if int(av.__version__.split(".")[0]) < 19 else {}
"""Options that make PyAV ignore metadata in unknown encodings, as it always does from version 19 on."""

CHROMA = Interpolation.BICUBIC
"""Interpolation of the subsampled chroma: the default of FFmpeg and OpenCV."""


class VideoReader(FrameReader):
    """Iterates over the frames of one video file."""

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """Decode all frames that a player would show, from the start, with one thread.

        Yields
        ------
        (rows, cols, 3) uint8 BGR, rotated and mirrored by the metadata; at `rate`, if it is set.

        Raises
        ------
        VideoError
            If the file cannot be opened or read, has no frame that decodes, changes its frame size, or has
            unusable time stamps that `rate` needs; after the last frame, if errors were concealed in some, or
            not all of the file is there, or could be decoded. With one of `MACHINE_CODES` if it is a failure
            of the machine and not of the file.
        """
        self.frames = self.rows = self.cols = self._n_decoded = 0
        self._concealed: list[int] = []
        self._errors: list[str] = []
        with self._open_file() as file, self._open_container(file) as container:
            stream = self._choose_stream(container)
            clock = Clock(in_coded_order=container.format.name == "avi")
            pictures = self._pictures(container, stream, file)
            pictures_at_rate: Iterator[NDArray[np.uint8]] = (picture for picture, _ in pictures)
            if self.rate is not None:
                assert stream.time_base is not None  # missing in output streams only
                spans = ((picture, clock.span(frame)) for picture, frame in pictures)
                pictures_at_rate = at_rate(spans, stream.time_base, self.rate)
            for picture in pictures_at_rate:
                self.frames += 1
                yield picture
        self._check_end()

    def _pictures(
        self, container: InputContainer, stream: VideoStream, file: WatchedFile
    ) -> Iterator[tuple[NDArray[np.uint8], VideoFrame]]:
        """Yield every frame that decodes, as a BGR picture and as PyAV's frame."""
        reformatter = VideoReformatter()
        for frame in self._decode(container, stream, file):
            picture = self._to_picture(frame, reformatter)
            self.check_size(picture, self._n_decoded)
            if frame.is_corrupt:
                self._concealed.append(self._n_decoded)
            self._n_decoded += 1
            yield picture, frame

    def _open_file(self) -> WatchedFile:
        """Open the file; store its size, and how much of it is missing."""
        descriptor, self.file_bytes = open_regular(self.path)
        file = WatchedFile(descriptor)
        try:
            self._missing_bytes = missing_bytes(file, self.file_bytes)
        except OSError as error:
            file.close()
            raise unreadable("open", error) from error
        file.name = os.fspath(self.path)  # FFmpeg may use its extension
        return file

    def _open_container(self, file: WatchedFile) -> InputContainer:
        """Read the header. FFmpeg gets the open file, and may open no other file and no address."""
        try:
            container = av.open(
                file, "r", options={"protocol_whitelist": "none"}, io_open=_refuse_to_open, **OPEN_OPTIONS
            )
        except DECODER_ERRORS as error:
            _check_machine("open", file, error)
            raise VideoError(
                "open",
                "cannot_open",
                f"no video was found in its {self.file_bytes} bytes ({_reason(error)}): "
                "not a video, or cut short",
            ) from error
        _check_machine("open", file)
        return container

    def _choose_stream(self, container: InputContainer) -> VideoStream:
        """Return the stream to decode, set to one thread, and store the properties in its header."""
        stream = container.streams.best("video")
        if not isinstance(stream, VideoStream):
            raise VideoError("open", "no_video_stream", "no video stream, only sound or data")
        if stream.codec_context is None:
            raise VideoError(
                "open", "no_decoder", "its codec is none that this FFmpeg can decode: re-encode the file"
            )
        stream.codec_context.thread_count = 1  # other processes use the other cores
        stated = float(stream.average_rate or 0)
        self.fps = stated if self.rate is None else float(self.rate)
        self.promised_frames = stream.frames
        if container.duration and (self.rate is not None or not self.promised_frames):
            self.promised_frames = round(max(0, container.duration) / av.time_base * self.fps)
        return stream

    def _decode(
        self, container: InputContainer, stream: VideoStream, file: WatchedFile
    ) -> Iterator[VideoFrame]:
        """Yield all frames that decode; record the decoder's errors and continue after them, as players do.

        A failure of the machine ends decoding: the current packet may be truncated, later ones are missing.
        """
        try:
            for packet in container.demux(stream):
                _check_machine("decode", file)
                if packet.size:  # an empty one would end decoding
                    yield from self._decode_packet(stream, packet)
        except DECODER_ERRORS as error:
            _check_machine("decode", file)
            self._record_error(error)
        _check_machine("decode", file)
        yield from self._decode_packet(stream, None)

    def _decode_packet(self, stream: VideoStream, packet: Packet | None) -> list[VideoFrame]:
        """Decode a packet; None: flush the decoder."""
        try:
            return stream.codec_context.decode(packet)
        except DECODER_ERRORS as error:
            self._record_error(error)
            return []

    def _record_error(self, error: Exception) -> None:
        """Record an error of the decoder; raise `VideoError` if it got no memory."""
        _check_machine("decode", None, error)
        self._errors.append(f"after {self._n_decoded} frames ({_reason(error)})")

    def _to_picture(self, frame: VideoFrame, reformatter: VideoReformatter) -> NDArray[np.uint8]:
        """Return a frame as (rows, cols, 3) uint8 BGR, rotated and mirrored by its metadata."""
        try:
            bgr = reformatter.reformat(frame, format="bgr24", interpolation=CHROMA, threads=1).to_ndarray()
        except DECODER_ERRORS as error:
            _check_machine("decode", None, error)
            raise VideoError(
                "decode",
                "not_converted",
                f"frame {self._n_decoded} is in {frame.format.name}, which cannot be turned into BGR "
                f"({_reason(error)}): re-encode the file",
            ) from error
        return np.ascontiguousarray(as_shown(bgr.astype(np.uint8, copy=False), display_matrix(frame)))

    def _check_end(self) -> None:
        """Raise `VideoError` unless every frame of the file was decoded without an error."""
        problems = []
        if self._concealed:
            count, first = len(self._concealed), self._concealed[0]
            problems.append(f"{count} of {self._n_decoded} frames are damaged, the first is frame {first}")
        if self._errors:
            problems.append(f"the decoder gave up {len(self._errors)} times, first {self._errors[0]}")
        if self._missing_bytes:
            problems.append(f"at least {self._missing_bytes} bytes are missing at the end of the file")
        if self._n_decoded == 0:
            raise VideoError(
                "decode",
                "no_frames",
                f"the header promises {self.promised_frames} frames, none could be decoded: "
                f"{problems[0] if problems else 'the stream is empty'}; fetch the file again",
            )
        if problems:
            raise VideoError(
                "decode", DAMAGED, f"{'; '.join(problems)}: {self.use_of_damaged}; fetch the file again"
            )


def _check_machine(stage: str, file: WatchedFile | None, error: Exception | None = None) -> None:
    """Raise `VideoError` if the machine failed to read `file`, or the decoder got no memory (`error`)."""
    if file is not None:
        file.check(stage)
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        raise VideoError(
            stage,
            NO_MEMORY,
            "the decoder did not get the memory that it asked for: the machine is short of it, or the file "
            f"asks for too much; {RUN_AGAIN}",
        )


def _refuse_to_open(url: str, flags: int, options: dict[str, str]) -> NoReturn:
    """Raise `VideoError` when a file makes FFmpeg open another one."""
    raise VideoError("open", "playlist", f"a list of other files, of {url!r}: give those files themselves")


def _reason(error: Exception) -> str:
    """Return the reason of an error, without the name of the file."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
