#include "twin/dtdl/json_tree.h"

#include <algorithm>

#include <fmt/format.h>

namespace penstock::twin::dtdl {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

void append_utf8(std::string& out, uint32_t code) {
  const auto put = [&](uint32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | code >> 6);
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3F));
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  }
}

class Reader {
 public:
  Reader(std::string_view text, int depth_max) : text_(text), depth_max_(depth_max) {}

  Result<JsonNode> document() {
    if (text_.starts_with(kByteOrderMark)) at_ = kByteOrderMark.size();
    JsonNode node;
    TRY(value(node, 0));
    skip();
    if (at_ != text_.size()) return complain("There is more after the end of the document");
    return node;
  }
  [[nodiscard]] size_t at() const { return at_; }

 private:
  tl::unexpected<Error> complain(std::string_view what) const {
    const Position at = position_of(text_, at_);
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{} (line {}, column {})", what, at.line, at.column));
  }
  void skip() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t'))
      ++at_;
  }
  bool take(std::string_view word) {
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }

  Status value(JsonNode& node, int depth) {
    skip();
    if (depth > depth_max_) return complain("The document is nested too deep");
    node.begin = at_;
    Status done;
    if (take("{")) {
      node.kind = JsonNode::Kind::kObject;
      done = object(node, depth);
    } else if (take("[")) {
      node.kind = JsonNode::Kind::kArray;
      done = array(node, depth);
    } else if (take("\"")) {
      node.kind = JsonNode::Kind::kString;
      done = string(node.text);
    } else if (take("true")) {
      node.kind = JsonNode::Kind::kTrue;
    } else if (take("false")) {
      node.kind = JsonNode::Kind::kFalse;
    } else if (!take("null")) {
      node.kind = JsonNode::Kind::kNumber;
      done = number(node.text);
    }
    node.end = at_;
    return done;
  }

  Status object(JsonNode& node, int depth) {
    skip();
    if (take("}")) return {};
    while (true) {
      skip();
      if (!take("\"")) return complain("A member's name in quotation marks is missing");
      auto& member = node.members.emplace_back();
      TRY(string(member.first));
      skip();
      if (!take(":")) return complain("A colon is missing");
      TRY(value(member.second, depth + 1));
      skip();
      if (take("}")) return {};
      if (!take(",")) return complain("A comma or } is missing");
    }
  }

  Status array(JsonNode& node, int depth) {
    skip();
    if (take("]")) return {};
    while (true) {
      TRY(value(node.items.emplace_back(), depth + 1));
      skip();
      if (take("]")) return {};
      if (!take(",")) return complain("A comma or ] is missing");
    }
  }

  Status string(std::string& out) {
    while (at_ < text_.size()) {
      const size_t from = at_;
      while (at_ < text_.size() && text_[at_] != '"' && text_[at_] != '\\' &&
             static_cast<unsigned char>(text_[at_]) >= 0x20)
        ++at_;
      out.append(text_, from, at_ - from);
      if (at_ == text_.size()) break;
      const char c = text_[at_++];
      if (c == '"') return {};
      if (static_cast<unsigned char>(c) < 0x20)
        return complain("A string holds a control character");
      TRY(escape(out));
    }
    return complain("A string does not end");
  }

  Status escape(std::string& out) {
    constexpr std::string_view kNames = "\"\\/bfnrt", kValues = "\"\\/\b\f\n\r\t";
    const char c = at_ < text_.size() ? text_[at_++] : '\0';
    if (const size_t known = kNames.find(c); known != kNames.npos) {
      out += kValues[known];
      return {};
    }
    uint32_t code = 0;
    if (c != 'u' || !hex(code)) return complain("An escape in a string is not valid");
    if (code >= 0xD800 && code < 0xDC00) {
      uint32_t low = 0;
      if (!take("\\u") || !hex(low) || low < 0xDC00 || low > 0xDFFF)
        return complain("A surrogate stands alone in a string");
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    } else if (code >= 0xDC00 && code < 0xE000) {
      return complain("A surrogate stands alone in a string");
    }
    append_utf8(out, code);
    return {};
  }

  bool hex(uint32_t& code) {
    if (text_.size() - at_ < 4) return false;
    code = 0;
    for (int i = 0; i < 4; ++i) {
      const char c = text_[at_++];
      const uint32_t digit = c >= '0' && c <= '9'   ? static_cast<uint32_t>(c - '0')
                             : c >= 'a' && c <= 'f' ? static_cast<uint32_t>(c - 'a' + 10)
                             : c >= 'A' && c <= 'F' ? static_cast<uint32_t>(c - 'A' + 10)
                                                    : 16;
      if (digit == 16) return false;
      code = code << 4 | digit;
    }
    return true;
  }

  bool digits() {
    const size_t from = at_;
    while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') ++at_;
    return at_ > from;
  }

  Status number(std::string& out) {
    const size_t from = at_;
    take("-");
    const bool zero = take("0");
    if (!zero && !digits()) return complain("A value is missing or not valid");
    if (take(".") && !digits()) return complain("A number is not valid");
    if (take("e") || take("E")) {
      if (!take("+")) take("-");
      if (!digits()) return complain("A number is not valid");
    }
    out = text_.substr(from, at_ - from);
    return {};
  }

  std::string_view text_;
  int depth_max_;
  size_t at_ = 0;
};

}  // namespace

const JsonNode* JsonNode::find(std::string_view name) const {
  for (const auto& [key, value] : members)
    if (key == name) return &value;
  return nullptr;
}

Position position_of(std::string_view document, size_t offset) {
  std::string_view before = document.substr(0, std::min(offset, document.size()));
  if (before.starts_with(kByteOrderMark)) before.remove_prefix(kByteOrderMark.size());
  const size_t newline = before.rfind('\n');
  return {static_cast<size_t>(std::count(before.begin(), before.end(), '\n')) + 1,
          before.size() - (newline == before.npos ? 0 : newline + 1) + 1};
}

Result<JsonNode> parse_json_tree(std::string_view document, int depth_max, size_t* wrong_at) {
  Reader reader(document, depth_max);
  auto tree = reader.document();
  if (!tree && wrong_at != nullptr) *wrong_at = reader.at();
  return tree;
}

}  // namespace penstock::twin::dtdl
