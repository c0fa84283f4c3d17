#include "api/http/gzip.h"

#include <algorithm>
#include <memory>

#include <zlib.h>

namespace penstock::api {

Result<std::string> gunzip(std::string_view bytes, size_t bytes_max) {
  z_stream stream{};
  constexpr int kEither = 15 + 32;  // zlib.h, inflateInit2: detect gzip or zlib by the header
  if (inflateInit2(&stream, kEither) != Z_OK)
    return fail(ErrorCode::kResourceExhausted, "there is no memory to inflate this body");
  const std::unique_ptr<z_stream, int (*)(z_stream*)> end(&stream, inflateEnd);
  std::string in(bytes), out;
  stream.next_in = reinterpret_cast<Bytef*>(in.data());
  stream.avail_in = static_cast<uInt>(in.size());
  int state = Z_OK;
  while (state != Z_STREAM_END) {
    const size_t before = out.size();
    out.resize(std::min(bytes_max + 1, before + std::max<size_t>(16'384, before)));
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + before);
    stream.avail_out = static_cast<uInt>(out.size() - before);
    state = inflate(&stream, Z_NO_FLUSH);
    out.resize(out.size() - stream.avail_out);
    if (out.size() > bytes_max)
      return fail(ErrorCode::kResourceExhausted, "the body is too large once inflated");
    if (state != Z_OK && state != Z_STREAM_END)
      return fail(ErrorCode::kInvalidArgument, "the body is no gzip");
    if (state == Z_OK && stream.avail_in == 0 && stream.avail_out > 0)
      return fail(ErrorCode::kInvalidArgument, "the gzip body ends early");
  }
  return out;
}

}  // namespace penstock::api
