#include "twin/query.h"

#include <vector>

namespace penstock::twin {
namespace {

struct Word {
  std::string text;
  size_t colon = std::string::npos;  // of the key; a colon inside quotes is none
};

// "quotes" may enclose a word or the part behind the key: name:"comp 1".
Result<std::vector<Word>> split_words(std::string_view line) {
  std::vector<Word> words;
  Word word;
  bool inside = false, quoted = false;
  const auto finish = [&] {
    if (inside) words.push_back(std::move(word));
    word = {};
    inside = false;
  };
  for (const char c : line) {
    if (c == '"') {
      quoted = !quoted;
      inside = true;
    } else if (!quoted && (c == ' ' || c == '\t' || c == '\n' || c == '\r')) {
      finish();
    } else {
      if (c == ':' && !quoted && word.colon == std::string::npos) word.colon = word.text.size();
      word.text += c;
      inside = true;
    }
  }
  if (quoted)
    return fail(ErrorCode::kInvalidArgument, "A quote is not closed: add a \" at the end");
  finish();
  return words;
}

// False: not a condition, so it is text.
Result<bool> take_condition(TwinFilter& filter, std::string_view key, std::string value) {
  const auto set = [&](std::string& field) -> Result<bool> {
    if (!field.empty())
      return fail(ErrorCode::kInvalidArgument, "That condition is there twice: keep one",
                  std::string(key));
    field = std::move(value);
    return true;
  };
  if (key == "site") return set(filter.site);
  if (key == "model") return set(filter.model);
  if (key == "name") return set(filter.name_glob);
  if (key == "below") return set(filter.below);
  if (key == "device") return set(filter.device);
  if (key == "related") return set(filter.related_to);
  if (key == "relationship") return set(filter.relationship);
  if (key.starts_with("label.") && key.size() > 6) {
    filter.labels.emplace_back(key.substr(6), std::move(value));
    return true;
  }
  if ((key == "has" || key == "no") && value == "device") {
    filter.has_device = key == "has";
    return true;
  }
  return false;
}

}  // namespace

Result<TwinFilter> parse_twin_query(std::string_view line) {
  if (line.size() > 4096)
    return fail(ErrorCode::kInvalidArgument, "A query has at most 4096 characters: shorten it");
  TwinFilter filter;
  TRY_ASSIGN(const auto words, split_words(line));
  for (const Word& word : words) {
    if (word.colon != std::string::npos && word.colon + 1 < word.text.size()) {
      TRY_ASSIGN(const bool taken,
                 take_condition(filter, std::string_view(word.text).substr(0, word.colon),
                                word.text.substr(word.colon + 1)));
      if (taken) continue;
    }
    if (!filter.text.empty()) filter.text += ' ';
    filter.text += word.text;
  }
  return filter;
}

}  // namespace penstock::twin
