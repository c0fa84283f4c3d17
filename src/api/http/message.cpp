#include "api/http/message.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace penstock::api {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// Length of the valid UTF-8 sequence at the start of `text`; 0 for none (RFC 3629, no surrogates).
size_t utf8_sequence(std::string_view text) {
  const auto byte = [&](size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
  };
  const auto tail = [&](size_t i) { return (byte(i) & 0xC0u) == 0x80u; };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return tail(1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    if (!tail(1) || !tail(2)) return 0;
    if (first == 0xE0 && byte(1) < 0xA0) return 0;
    if (first == 0xED && byte(1) > 0x9F) return 0;
    return 3;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    if (!tail(1) || !tail(2) || !tail(3)) return 0;
    if (first == 0xF0 && byte(1) < 0x90) return 0;
    if (first == 0xF4 && byte(1) > 0x8F) return 0;
    return 4;
  }
  return 0;
}

class FileBody : public BodySource {
 public:
  FileBody(int fd, uint64_t size) : fd_(fd), size_(size) {}
  FileBody(const FileBody&) = delete;
  FileBody& operator=(const FileBody&) = delete;
  ~FileBody() override { ::close(fd_); }

  Result<size_t> read(std::span<char> out) override {
    ssize_t n;
    do {
      n = ::read(fd_, out.data(), out.size());
    } while (n < 0 && errno == EINTR);
    if (n < 0) return fail(ErrorCode::kIo, std::string("cannot read: ") + std::strerror(errno));
    return static_cast<size_t>(n);
  }
  [[nodiscard]] std::optional<uint64_t> size() const override { return size_; }

 private:
  int fd_;
  uint64_t size_;
};

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::string_view title_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return "The request is not valid";
    case ErrorCode::kNotFound:
      return "Not found";
    case ErrorCode::kAlreadyExists:
      return "Already exists";
    case ErrorCode::kConflict:
      return "Conflict";
    case ErrorCode::kUnauthenticated:
      return "Not signed in";
    case ErrorCode::kPermissionDenied:
      return "Not allowed";
    case ErrorCode::kResourceExhausted:
      return "Limit reached";
    case ErrorCode::kUnavailable:
      return "Not available now";
    case ErrorCode::kTimeout:
      return "Took too long";
    case ErrorCode::kCancelled:
      return "Cancelled";
    case ErrorCode::kUnsupported:
      return "Not supported";
    case ErrorCode::kCorrupt:
    case ErrorCode::kIo:
    case ErrorCode::kInternal:
      break;
  }
  return "Internal error";
}

Response make_problem(int status, std::string_view code, std::string_view title,
                      std::string_view detail, std::string_view about,
                      std::string_view request_id) {
  Json body = {{"type", "urn:penstock:problem:" + std::string(code)},
               {"title", title},
               {"status", status},
               {"detail", to_valid_utf8(detail)},
               {"instance", request_id},
               {"code", code}};
  if (!about.empty()) body["about"] = to_valid_utf8(about);
  Response response = Response::json(body, status);
  response.set("content-type", "application/problem+json");
  response.set("cache-control", "no-store");
  return response;
}

}  // namespace

std::string_view name(Method method) {
  switch (method) {
    case Method::kGet:
      return "GET";
    case Method::kHead:
      return "HEAD";
    case Method::kPost:
      return "POST";
    case Method::kPut:
      return "PUT";
    case Method::kPatch:
      return "PATCH";
    case Method::kDelete:
      return "DELETE";
    case Method::kOptions:
      return "OPTIONS";
    case Method::kOther:
      break;
  }
  return "OTHER";
}

Method parse_method(std::string_view text) {
  for (const auto method : {Method::kGet, Method::kHead, Method::kPost, Method::kPut,
                            Method::kPatch, Method::kDelete, Method::kOptions})
    if (name(method) == text) return method;
  return Method::kOther;
}

std::string_view Request::header(std::string_view field) const {
  for (const auto& [key, value] : headers)
    if (key == field) return value;
  return {};
}

std::optional<std::string_view> Request::query_value(std::string_view field) const {
  for (const auto& [key, value] : query)
    if (key == field) return value;
  return std::nullopt;
}

std::string_view Request::cookie(std::string_view cookie_name) const {
  std::string_view rest = header("cookie");
  while (!rest.empty()) {
    const auto end = rest.find(';');
    const auto pair = trim(rest.substr(0, end));
    rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
    const auto equals = pair.find('=');
    if (equals != std::string_view::npos && pair.substr(0, equals) == cookie_name)
      return pair.substr(equals + 1);
  }
  return {};
}

Response Response::json(const Json& document, int status) {
  // Text from devices was checked at the door; `replace` is for what slipped in by other ways.
  return text(document.dump(-1, ' ', false, Json::error_handler_t::replace), "application/json",
              status);
}

Response Response::text(std::string body, std::string_view content_type, int status) {
  Response response;
  response.status = status;
  response.body = std::move(body);
  response.headers.emplace_back("content-type", content_type);
  return response;
}

Response Response::no_content() {
  Response response;
  response.status = 204;
  return response;
}

Response& Response::set(std::string_view field, std::string value) {
  for (auto& [key, old] : headers)
    if (key == field) {
      old = std::move(value);
      return *this;
    }
  headers.emplace_back(field, std::move(value));
  return *this;
}

std::string_view Response::header(std::string_view field) const {
  for (const auto& [key, value] : headers)
    if (key == field) return value;
  return {};
}

Result<std::unique_ptr<BodySource>> open_file_body(const std::string& path, bool remove_when_done) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0)
    return fail(ErrorCode::kIo, std::string("cannot open: ") + std::strerror(errno), path);
  if (remove_when_done) ::unlink(path.c_str());
  struct stat status{};
  if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(fd);
    return fail(ErrorCode::kIo, "not a regular file", path);
  }
  return std::make_unique<FileBody>(fd, static_cast<uint64_t>(status.st_size));
}

int http_status(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return 400;
    case ErrorCode::kNotFound:
      return 404;
    case ErrorCode::kAlreadyExists:
    case ErrorCode::kConflict:
      return 409;
    case ErrorCode::kUnauthenticated:
      return 401;
    case ErrorCode::kPermissionDenied:
      return 403;
    case ErrorCode::kResourceExhausted:
      return 429;
    case ErrorCode::kUnavailable:
      return 503;
    case ErrorCode::kTimeout:
      return 504;
    case ErrorCode::kCancelled:
      return 499;
    case ErrorCode::kUnsupported:
      return 501;
    case ErrorCode::kCorrupt:
    case ErrorCode::kIo:
    case ErrorCode::kInternal:
      break;
  }
  return 500;
}

std::string_view reason_phrase(int status) {
  static constexpr std::pair<int, std::string_view> kPhrases[] = {
      {101, "Switching Protocols"},
      {200, "OK"},
      {201, "Created"},
      {202, "Accepted"},
      {204, "No Content"},
      {304, "Not Modified"},
      {400, "Bad Request"},
      {401, "Unauthorized"},
      {403, "Forbidden"},
      {404, "Not Found"},
      {405, "Method Not Allowed"},
      {408, "Request Timeout"},
      {409, "Conflict"},
      {412, "Precondition Failed"},
      {413, "Content Too Large"},
      {414, "URI Too Long"},
      {426, "Upgrade Required"},
      {429, "Too Many Requests"},
      {431, "Request Header Fields Too Large"},
      {499, "Client Closed Request"},
      {500, "Internal Server Error"},
      {501, "Not Implemented"},
      {503, "Service Unavailable"},
      {504, "Gateway Timeout"},
  };
  for (const auto& [number, phrase] : kPhrases)
    if (number == status) return phrase;
  return "Status";
}

Response problem(const Error& error, std::string_view request_id) {
  Response response = make_problem(http_status(error.code), penstock::name(error.code),
                                   title_of(error.code), error.message, error.about, request_id);
  if (error.code == ErrorCode::kUnauthenticated)
    response.set("www-authenticate", "Bearer realm=\"penstock\"");
  if (error.code == ErrorCode::kResourceExhausted || error.code == ErrorCode::kUnavailable)
    response.set("retry-after", "5");
  return response;
}

Response problem(int status, std::string_view code, std::string_view detail,
                 std::string_view request_id) {
  return make_problem(status, code, reason_phrase(status), detail, {}, request_id);
}

bool valid_utf8(std::string_view text) {
  while (!text.empty()) {
    const size_t length = utf8_sequence(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string to_valid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const size_t length = utf8_sequence(text);
    if (length == 0) {
      out += "\xEF\xBF\xBD";
      text.remove_prefix(1);
    } else {
      out.append(text.substr(0, length));
      text.remove_prefix(length);
    }
  }
  return out;
}

std::optional<std::string> percent_decode(std::string_view text, bool plus) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      if (i + 2 >= text.size()) return std::nullopt;
      const int high = hex_digit(text[i + 1]), low = hex_digit(text[i + 2]);
      if (high < 0 || low < 0 || (high == 0 && low == 0)) return std::nullopt;
      out += static_cast<char>(high * 16 + low);
      i += 2;
    } else {
      out += plus && text[i] == '+' ? ' ' : text[i];
    }
  }
  if (!valid_utf8(out)) return std::nullopt;
  return out;
}

bool parse_target(std::string_view target, Request& request) {
  if (target.empty() || target.front() != '/' || target.size() > 8192) return false;
  target = target.substr(0, target.find('#'));
  const auto question = target.find('?');
  request.raw_path = std::string(target.substr(0, question));
  auto path = percent_decode(request.raw_path, false);
  if (!path) return false;
  request.path = std::move(*path);
  request.query.clear();
  if (question == std::string_view::npos) return true;
  std::string_view rest = target.substr(question + 1);
  while (!rest.empty()) {
    const auto end = rest.find('&');
    const auto pair = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
    if (pair.empty()) continue;
    const auto equals = pair.find('=');
    auto key = percent_decode(pair.substr(0, equals), true);
    auto value = percent_decode(
        equals == std::string_view::npos ? std::string_view{} : pair.substr(equals + 1), true);
    if (!key || !value || request.query.size() >= 64) return false;
    request.query.emplace_back(std::move(*key), std::move(*value));
  }
  return true;
}

}  // namespace penstock::api
