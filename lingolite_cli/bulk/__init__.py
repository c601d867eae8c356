"""Translation of whole corpora: shards that workers of an executor translate, and a job that can be taken up again."""
