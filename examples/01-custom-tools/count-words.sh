# Given files, as "$@". Prints one line a file: words, path.
for file in "$@"; do
  text=$(sed -e '/^```/,/^```/d' -e 's/<[^>]*>//g' -- "$file") || exit 1
  echo "$(echo "$text" | wc -w) $file"
done
